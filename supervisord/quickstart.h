/*
 * quickstart - a working store in one directory, with one command.
 *
 * Q1  Nothing that exists is overwritten: a second start finds what the first one made.
 * Q2  What the command line says goes into the environment form of its key, so that the services
 *     see it too and `holdfastctl config` shows where it came from.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef HF_SUPERVISORD_QUICKSTART_H
#define HF_SUPERVISORD_QUICKSTART_H

#include <stddef.h>

#include "libbase/err.h"

#define QUICKSTART_DRIVES_MAX 16

struct supervisor;

struct quickstart {
	const char	*directory;
	const char	*s3_port, *admin_port, *listen;		/* as given, or NULL */
	unsigned	 drives;				/* 0: not given */
};

/* Makes what is missing; config_path[4096] gets the absolute path of the config file. */
int quickstart_prepare(const struct quickstart *q, char *config_path, struct err *e);
/* Says that everything is ready, and how to go on. */
void quickstart_summary(const struct supervisor *s);
/* The run directory that belongs to an absolute directory: DIRECTORY/run, or a short one elsewhere
 * when socket paths would be too long. Pure, but for the environment (XDG_RUNTIME_DIR). */
void quickstart_run_dir(const char *directory, char *out, size_t out_bytes);

#endif
