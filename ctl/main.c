/*
 * holdfastctl - asks holdfastd and the services, and tells them what to do.
 *
 * It may touch the control sockets of one run directory and read logs and the state file; it
 * changes nothing by itself. Verbs are rows of verbs.c.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ctl/verb.h"
#include "libbase/config.h"

enum option_code { OPTION_RUN_DIR = 256, OPTION_JSON, OPTION_NO_WAIT, OPTION_WAIT, OPTION_REASON,
	OPTION_VERSION };

static const struct option options[] = {
	{ "run-dir", required_argument, NULL, OPTION_RUN_DIR },
	{ "config", required_argument, NULL, 'c' },
	{ "json", no_argument, NULL, OPTION_JSON },
	{ "follow", no_argument, NULL, 'f' },
	{ "lines", required_argument, NULL, 'n' },
	{ "wait", required_argument, NULL, OPTION_WAIT },
	{ "no-wait", no_argument, NULL, OPTION_NO_WAIT },
	{ "reason", required_argument, NULL, OPTION_REASON },
	{ "help", no_argument, NULL, 'h' },
	{ "version", no_argument, NULL, OPTION_VERSION },
	{ NULL, 0, NULL, 0 },
};

struct arguments {
	struct ctl	 ctl;
	const char	*run_dir;
	bool		 help;
};

static void
usage_print(FILE *out)
{
	fputs("usage: holdfastctl [--run-dir DIR | -c CONFIG] VERB [ARGUMENTS]\n\n", out);
	for (unsigned i = 0; i < verb_count; i++)
		fprintf(out, "  %-10s %s\n", verbs[i].name, verbs[i].summary);
	fputs("\n  VERB --help      tells its arguments and more\n"
	    "  --run-dir DIR    the run directory of holdfastd (also HOLDFAST_RUN_DIR)\n"
	    "  -c CONFIG        its config file; default:\n"
	    "                   " HOLDFAST_SYSCONFDIR "/holdfast.conf\n"
	    "  --reason TEXT    goes into the log with an action\n"
	    "  --version\n\n"
	    "Exit status: 0 done, 1 failed, 2 wrong usage, 3 holdfastd does not run,\n"
	    "4 something that should run does not. See holdfastctl(1).\n", out);
}

static void
verb_usage_print(FILE *out, const struct verb *v)
{
	bool fits = strlen(v->name) + strlen(v->arguments) < 55;	/* in 80 columns */

	fprintf(out, "usage: holdfastctl %s%s%s\n", v->name, fits ? " " : "\n           ",
	    v->arguments);
}

static int
number_take(const char *text, const char *option, uint64_t max, uint64_t *out)
{
	if (u64_parse(text, strlen(text), max, out) == 0)
		return (-1);
	fprintf(stderr, "holdfastctl: %s: expected a number up to %llu, found \"%s\"\n", option,
	    (unsigned long long)max, text);
	return (CTL_USAGE);
}

/* -1 to go on, else the exit status. */
static int
option_take(int option, struct arguments *a)
{
	uint64_t seconds;
	int status;

	switch (option) {
	case OPTION_RUN_DIR:
		a->run_dir = optarg;
		return (-1);
	case 'c':
		a->ctl.config_path = optarg;
		return (-1);
	case OPTION_JSON:
		a->ctl.json = true;
		return (-1);
	case 'f':
		a->ctl.follow = true;
		return (-1);
	case 'n':
		return (number_take(optarg, "-n", 1000000, &a->ctl.lines));
	case OPTION_WAIT:
		status = number_take(optarg, "--wait", 86400, &seconds);
		if (status < 0)
			a->ctl.wait_ms = seconds * 1000;
		return (status);
	case OPTION_NO_WAIT:
		a->ctl.no_wait = true;
		return (-1);
	case OPTION_REASON:
		a->ctl.reason = optarg;
		return (-1);
	case 'h':
		a->help = true;
		return (-1);
	case OPTION_VERSION:
		printf("holdfastctl %s\n", PACKAGE_VERSION);
		return (CTL_OK);
	default:
		fputs("holdfastctl: --help tells how to call it\n", stderr);
		return (CTL_USAGE);
	}
}

/* Where the running holdfastd is: --run-dir, then -c, then HOLDFAST_RUN_DIR, then the default. */
static int
target_find(struct arguments *a, struct err *e)
{
	const char *file = HOLDFAST_SYSCONFDIR "/holdfast.conf";
	const char *from_environment = getenv("HOLDFAST_RUN_DIR");
	struct err why;
	struct config c;
	char *real;
	int rc;

	if (a->run_dir == NULL && a->ctl.config_path == NULL && from_environment != NULL &&
	    from_environment[0] != '\0')
		a->run_dir = from_environment;
	if (a->ctl.config_path == NULL && a->run_dir == NULL && access(file, R_OK) == 0)
		a->ctl.config_path = file;
	rc = config_load(&c, a->ctl.config_path, e);
	/* a bad config must not keep anyone from a store that runs */
	if (rc < 0 && a->run_dir != NULL) {
		config_init(&c);
	} else if (rc < 0) {
		why = *e;
		return (err_set(e, rc, "%s (--run-dir works without the config)", why.text));
	}
	real = a->run_dir != NULL ? realpath(a->run_dir, NULL) : NULL;
	snprintf(a->ctl.run_dir, sizeof(a->ctl.run_dir), "%s", real != NULL ? real :
	    a->run_dir != NULL ? a->run_dir : c.supervisor_run_dir);
	free(real);
	snprintf(a->ctl.log_dir, sizeof(a->ctl.log_dir), "%s", c.supervisor_log_dir);
	config_release(&c);
	if (strlen(a->ctl.run_dir) > 80)
		return (err_set(e, ERR_INVALID, "run directory %s: longer than 80 characters",
		    a->ctl.run_dir));
	return (0);
}

static const struct verb *
verb_find(const char *name)
{
	for (unsigned i = 0; i < verb_count; i++)
		if (strcmp(verbs[i].name, name) == 0)
			return (&verbs[i]);
	return (NULL);
}

static int
verb_run(struct arguments *a, char **words, unsigned count)
{
	const struct verb *v = verb_find(words[0]);
	struct err e = ERR_INIT;

	if (v == NULL) {
		fprintf(stderr, "holdfastctl: there is no verb \"%s\"; --help lists them\n",
		    words[0]);
		return (CTL_USAGE);
	}
	if (a->help) {
		verb_usage_print(stdout, v);
		printf("\n%s\n", v->help);
		return (CTL_OK);
	}
	if (count - 1 < v->arguments_min || count - 1 > v->arguments_max) {
		verb_usage_print(stderr, v);
		return (CTL_USAGE);
	}
	if (target_find(a, &e) < 0) {
		fprintf(stderr, "holdfastctl: %s\n", e.text);
		return (CTL_USAGE);
	}
	return (v->run(&a->ctl, v, words + 1, count - 1));
}

int
main(int argc, char **argv)
{
	struct arguments a = { .ctl = { .lines = 50, .wait_ms = CTL_WAIT_MS_DEFAULT } };
	int option, status = store_words_run(argc, argv);

	if (status >= 0)
		return (status);
	while ((option = getopt_long(argc, argv, "c:fn:h", options, NULL)) != -1)
		if ((status = option_take(option, &a)) >= 0)
			return (status);
	if (optind == argc) {
		usage_print(a.help ? stdout : stderr);
		return (a.help ? CTL_OK : CTL_USAGE);
	}
	status = verb_run(&a, argv + optind, (unsigned)(argc - optind));
	if (fflush(stdout) != 0 && status == CTL_OK)
		status = CTL_FAILED;
	return (status);
}
