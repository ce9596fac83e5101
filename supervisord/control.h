/*
 * control - what holdfastd answers on RUN_DIR/holdfastd.control.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef HF_SUPERVISORD_CONTROL_H
#define HF_SUPERVISORD_CONTROL_H

#include "libbase/err.h"

struct supervisor;

int control_open(struct supervisor *s, struct err *e);
void control_close(struct supervisor *s);

#endif
