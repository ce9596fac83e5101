/*
 * holdfastd - starts, watches, restarts and stops the services of Holdfast.
 *
 * It is started by an init system (-c) or by a person (--quickstart), in the foreground. It may
 * touch processes, sockets, its directories and its log files, and nothing of the store. Its crash
 * ends all services (they watch for it); init starts it again. What does not belong here: anything
 * that the services do.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "supervisord/announce.h"
#include "supervisord/init_notify.h"
#include "supervisord/quickstart.h"
#include "supervisord/supervisor.h"

enum { STATUS_OK = 0, STATUS_FAILED = 1, STATUS_CONFIG = 2 };

enum option_code { OPTION_QUICKSTART = 256, OPTION_S3_PORT, OPTION_ADMIN_PORT, OPTION_DRIVES,
	OPTION_LISTEN, OPTION_CHECK, OPTION_VERSION };

static const struct option options[] = {
	{ "config", required_argument, NULL, 'c' },
	{ "quickstart", required_argument, NULL, OPTION_QUICKSTART },
	{ "s3-port", required_argument, NULL, OPTION_S3_PORT },
	{ "admin-port", required_argument, NULL, OPTION_ADMIN_PORT },
	{ "drives", required_argument, NULL, OPTION_DRIVES },
	{ "listen", required_argument, NULL, OPTION_LISTEN },
	{ "check", no_argument, NULL, OPTION_CHECK },
	{ "version", no_argument, NULL, OPTION_VERSION },
	{ "help", no_argument, NULL, 'h' },
	{ NULL, 0, NULL, 0 },
};

static const char usage_text[] =
    "usage: holdfastd -c FILE [--check]\n"
    "       holdfastd --quickstart DIR [--s3-port PORT] [--admin-port PORT]\n"
    "                 [--drives N] [--listen ADDRESS]\n"
    "\n"
    "  -c, --config FILE   run in the foreground with this config file\n"
    "                      (default " HOLDFAST_SYSCONFDIR "/holdfast.conf)\n"
    "  --quickstart DIR    make drives, config and credentials in DIR where they are\n"
    "                      missing, and run\n"
    "  --s3-port PORT      S3 port (9000)\n"
    "  --admin-port PORT   admin port (9001)\n"
    "  --drives N          drives of a new DIR (4)\n"
    "  --listen ADDRESS    address (127.0.0.1)\n"
    "  --check             check the config, then exit\n"
    "  --version, --help\n"
    "\n"
    "Exit status: 0 stopped in order, 1 could not start or a service had to be killed,\n"
    "2 bad config or arguments. See holdfastd(8).\n";

struct arguments {
	const char		*config;
	struct quickstart	 quickstart;
	bool			 check;
};

static int
usage_error(const char *format, const char *what)
{
	fprintf(stderr, "holdfastd: ");
	fprintf(stderr, format, what);
	fprintf(stderr, "; --help tells more\n");
	return (STATUS_CONFIG);
}

static int
drives_parse(const char *text, unsigned *out)
{
	uint64_t value;

	if (u64_parse(text, strlen(text), QUICKSTART_DRIVES_MAX, &value) < 0 || value == 0)
		return (usage_error("--drives: expected 1 to 16, found \"%s\"", text));
	*out = (unsigned)value;
	return (-1);
}

/* -1 to go on, else the exit status. */
static int
option_take(int option, struct arguments *a)
{
	switch (option) {
	case 'c':
		a->config = optarg;
		return (-1);
	case OPTION_QUICKSTART:
		a->quickstart.directory = optarg;
		return (-1);
	case OPTION_S3_PORT:
		a->quickstart.s3_port = optarg;
		return (-1);
	case OPTION_ADMIN_PORT:
		a->quickstart.admin_port = optarg;
		return (-1);
	case OPTION_DRIVES:
		return (drives_parse(optarg, &a->quickstart.drives));
	case OPTION_LISTEN:
		a->quickstart.listen = optarg;
		return (-1);
	case OPTION_CHECK:
		a->check = true;
		return (-1);
	case OPTION_VERSION:
		printf("holdfastd %s\n", PACKAGE_VERSION);
		return (STATUS_OK);
	case 'h':
		fputs(usage_text, stdout);
		return (STATUS_OK);
	default:
		fputs("holdfastd: --help tells how to call it\n", stderr);
		return (STATUS_CONFIG);
	}
}

static int
arguments_parse(int argc, char **argv, struct arguments *a)
{
	const struct quickstart *q = &a->quickstart;
	int option, status;

	while ((option = getopt_long(argc, argv, "c:h", options, NULL)) != -1)
		if ((status = option_take(option, a)) >= 0)
			return (status);
	if (optind < argc)
		return (usage_error("unexpected argument \"%s\"", argv[optind]));
	if (q->directory != NULL && (a->config != NULL || a->check))
		return (usage_error("%s cannot be combined with -c or --check", "--quickstart"));
	if (q->directory == NULL && (q->s3_port != NULL || q->admin_port != NULL ||
	    q->listen != NULL || q->drives != 0))
		return (usage_error("ports, drives and addresses need %s", "--quickstart"));
	return (-1);
}

/* Services are started in "/", so their path of the config must be absolute. */
static int
config_locate(const struct arguments *a, char *path, struct err *e)
{
	const char *given = a->config != NULL ? a->config : HOLDFAST_SYSCONFDIR "/holdfast.conf";
	char *real;

	if (a->quickstart.directory != NULL)
		return (quickstart_prepare(&a->quickstart, path, e));
	real = realpath(given, NULL);
	if (real == NULL)
		return (err_errno(e, errno, "config file %s%s", given, a->config != NULL ? "" :
		    " (-c names another one; --quickstart DIR makes a store in DIR)"));
	snprintf(path, 4096, "%s", real);
	free(real);
	return (0);
}

/* Services run in "/": a relative path would mean something else to each of us. */
static int
paths_check(const struct config *c, const char *config_path, struct err *e)
{
	const struct {
		const char	*key, *paths;
	} rows[] = {
		{ "supervisor.state_dir", c->supervisor_state_dir },
		{ "supervisor.run_dir", c->supervisor_run_dir },
		{ "supervisor.log_dir", c->supervisor_log_dir },
		{ "supervisor.libexec_dir", c->supervisor_libexec_dir },
		{ "store.drives", c->store_drives },
		{ "store.index_dir", c->store_index_dir },
		{ "admin.scrape_token_file", c->admin_scrape_token_file },
		{ "auth.credentials_file", c->auth_credentials_file },
	};

	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		for (const char *p = rows[i].paths; *p != '\0'; p += strcspn(p, " \t")) {
			p += strspn(p, " \t");
			if (*p != '/' && *p != '\0')
				return (err_set(e, ERR_CONFIG, "%s: %s: expected an absolute path, "
				    "found \"%.*s\"%s", config_path, rows[i].key,
				    (int)strcspn(p, " \t"), p, *p == '"' || *p == '\'' ||
				    *p == '#' || *p == ';'
				    ? " (there are no quotes, and no comments behind a "
				    "value)" : ""));
		}
	return (0);
}

/* A drive may be away, so one that is not there is no error. */
static void
drives_look(const char *list)
{
	struct stat st;
	char path[4096];

	for (size_t n; *(list += strspn(list, " \t")) != '\0'; list += n) {
		n = strcspn(list, " \t");
		snprintf(path, sizeof(path), "%.*s", (int)n, list);
		if (stat(path, &st) < 0)
			fprintf(stderr, "holdfastd: warning: store.drives: %s: %s\n", path,
			    strerror(errno));
		else if (!S_ISDIR(st.st_mode))
			fprintf(stderr, "holdfastd: warning: store.drives: %s is no directory\n",
			    path);
	}
}

static int
check(const struct config *c, const char *config_path)
{
	if (c->store_drives[0] == '\0' && config_enabled(c, "store", NULL)) {
		fprintf(stderr, "holdfastd: %s: store.drives: expected 1 to %d directories, found "
		    "none\n", config_path, CONFIG_DRIVES_MAX);
		return (STATUS_CONFIG);
	}
	drives_look(c->store_drives);
	printf("%s: no errors\n", config_path);
	return (STATUS_OK);
}

static void
program_locate(struct supervisor *s)
{
	ssize_t n = readlink("/proc/self/exe", s->program_dir, sizeof(s->program_dir) - 1);
	char *slash;

	s->program_dir[n > 0 ? n : 0] = '\0';
	slash = strrchr(s->program_dir, '/');
	if (slash != NULL)
		*slash = '\0';
}

static int
run(struct supervisor *s)
{
	struct err e = ERR_INIT;
	int status;

	if (supervisor_open(s, &e) < 0) {
		announce(LOG_ERROR, "%s", e.text);
		init_notify("STATUS=%s", e.text);
		return (e.code == ERR_CONFIG ? STATUS_CONFIG : STATUS_FAILED);
	}
	status = supervisor_run(s);
	supervisor_close(s);
	return (status);
}

int
main(int argc, char **argv)
{
	static struct supervisor s;
	struct arguments a = { 0 };
	struct err e = ERR_INIT;
	enum log_level level = LOG_INFO;
	int status;

	status = arguments_parse(argc, argv, &a);
	if (status >= 0)
		return (status);
	log_init("holdfastd", LOG_INFO);
	if (config_locate(&a, s.config_path, &e) < 0 ||
	    config_load(&s.config, s.config_path, &e) < 0 ||
	    paths_check(&s.config, s.config_path, &e) < 0) {
		fprintf(stderr, "holdfastd: %s\n", e.text);
		return (e.code == ERR_FULL || e.code == ERR_IO ? STATUS_FAILED : STATUS_CONFIG);
	}
	if (a.check) {
		status = check(&s.config, s.config_path);
		config_release(&s.config);
		return (status);
	}
	log_level_parse(s.config.supervisor_log_level, &level);
	log_set_level(level);
	s.quickstart = a.quickstart.directory != NULL;
	announce_open(NULL, s.quickstart, 0, 1);
	program_locate(&s);
	init_notify_open();
	status = run(&s);
	init_notify_close();
	config_release(&s.config);
	return (status);
}
