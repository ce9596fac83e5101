/*
 * supervisor_internal - what supervisor.c and supervisor_open.c share.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef HF_SUPERVISORD_SUPERVISOR_INTERNAL_H
#define HF_SUPERVISORD_SUPERVISOR_INTERNAL_H

#include "supervisord/supervisor.h"

void supervisor_on_settle(evutil_socket_t fd, short what, void *context);

#endif
