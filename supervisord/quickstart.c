/*
 * quickstart - a working store in one directory, with one command.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "supervisord/quickstart.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "libbase/checksum.h"
#include "libbase/file.h"
#include "supervisord/announce.h"
#include "supervisord/supervisor.h"

#define RUN_DIR_BYTES_MAX 80		/* the bound of supervisor.run_dir */
#define DRIVES_DEFAULT 4
#define DIRECTORY_BYTES_MAX 3000

/* Blanks separate drives in the config, and some characters begin comments there. */
static int
directory_check(const char *path, struct err *e)
{
	if (strlen(path) > DIRECTORY_BYTES_MAX)
		return (err_set(e, ERR_TOO_LARGE, "the path %.60s... is too long", path));
	for (const char *p = path; *p != '\0'; p++)
		if (isspace((unsigned char)*p) || iscntrl((unsigned char)*p) || *p == ';' ||
		    *p == '#' || *p == '"')
			return (err_set(e, ERR_INVALID, "the path \"%s\" holds a blank or one of "
			    "; # \", which the list of drives cannot express: choose another",
			    path));
	return (0);
}

static int
directory_own(const char *path, struct err *e)
{
	if (mkdir(path, 0700) < 0 && errno != EEXIST)
		return (err_errno(e, errno, "cannot make %s", path));
	return (0);
}

static int
directory_resolve(const char *given, char out[4096], struct err *e)
{
	char *real;
	int rc;

	rc = directory_check(given, e);		/* before anything is made */
	if (rc == 0)
		rc = directory_make(given, 0700, e);
	if (rc < 0)
		return (rc);
	real = realpath(given, NULL);
	if (real == NULL)
		return (err_errno(e, errno, "cannot resolve %s", given));
	rc = directory_check(real, e);
	if (rc == 0)
		snprintf(out, 4096, "%s", real);
	free(real);
	if (rc == 0 && chmod(out, 0700) < 0)
		return (err_errno(e, errno,
		    "%s belongs to another user: cannot set its mode to 0700", out));
	return (rc);
}

void
quickstart_run_dir(const char *directory, char *out, size_t out_bytes)
{
	const char *base = getenv("XDG_RUNTIME_DIR");
	uint32_t a = crc32c(0, directory, strlen(directory));
	uint32_t b = crc32c(crc32c_seed(a, 1), directory, strlen(directory));
	int n;

	n = snprintf(out, out_bytes, "%s/run", directory);
	if (n <= RUN_DIR_BYTES_MAX && (size_t)n < out_bytes)
		return;
	if (base == NULL || base[0] != '/' || strlen(base) > 40)
		base = "/tmp";
	snprintf(out, out_bytes, "%s/holdfast-%u-%08x%08x", base, (unsigned)geteuid(), a, b);
}

static int
config_make(const char *directory, const char *path, unsigned drives, struct err *e)
{
	struct buf text = BUF_INIT;
	char run_dir[RUN_DIR_BYTES_MAX + 20];
	int rc;

	quickstart_run_dir(directory, run_dir, sizeof(run_dir));
	buf_printf(&text, "# Made by holdfastd --quickstart; holdfast.conf(5) tells what else "
	    "there is.\n\n[supervisor]\nstate_dir = %s\nrun_dir = %s\nlog_dir = %s/log\n\n[store]\n"
	    "drives =", directory, run_dir, directory);
	for (unsigned i = 1; i <= drives; i++)
		buf_printf(&text, " %s/drive%u", directory, i);
	buf_append_string(&text, "\n");
	rc = file_replace(path, text.data, text.bytes, 0600, e);
	buf_release(&text);
	return (rc);
}

static unsigned
drives_count(const struct config *c)
{
	unsigned count = 0;

	for (const char *p = c->store_drives; *p != '\0'; ) {
		p += strspn(p, " ");
		count += *p != '\0';
		p += strcspn(p, " ");
	}
	return (count);
}

/* Checks an existing config file against what the command line says. */
static int
config_compare(const char *directory, const char *path, unsigned drives, struct err *e)
{
	struct config c;
	int rc;

	rc = config_load(&c, path, e);
	if (rc < 0)
		return (rc);
	if (drives != 0 && c.source[CONFIG_KEY_store_drives] == CONFIG_FILE &&
	    drives != drives_count(&c))
		rc = err_set(e, ERR_CONFIG, "%s was made with %u drives: --drives %u cannot change "
		    "that", path, drives_count(&c), drives);
	else if (c.source[CONFIG_KEY_supervisor_state_dir] == CONFIG_FILE &&
	    strcmp(c.supervisor_state_dir, directory) != 0)
		rc = err_set(e, ERR_CONFIG, "%s belongs to %s, not to %s: if the directory was "
		    "moved, correct the paths in it", path, c.supervisor_state_dir, directory);
	config_release(&c);
	return (rc);
}

static void
flags_to_environment(const struct quickstart *q)
{
	if (q->s3_port != NULL)
		setenv("HOLDFAST_S3_PORT", q->s3_port, 1);
	if (q->admin_port != NULL)
		setenv("HOLDFAST_ADMIN_PORT", q->admin_port, 1);
	if (q->listen != NULL) {
		setenv("HOLDFAST_S3_LISTEN", q->listen, 1);
		setenv("HOLDFAST_ADMIN_LISTEN", q->listen, 1);
	}
}

int
quickstart_prepare(const struct quickstart *q, char *config_path, struct err *e)
{
	unsigned drives = q->drives != 0 ? q->drives : DRIVES_DEFAULT;
	char directory[4096] = "", path[4200];
	int rc;

	rc = directory_resolve(q->directory, directory, e);
	if (rc < 0)
		return (rc);
	flags_to_environment(q);			/* Q2 */
	snprintf(config_path, 4096, "%.4000s/holdfast.conf", directory);
	if (access(config_path, F_OK) == 0)		/* Q1 */
		return (config_compare(directory, config_path, q->drives, e));
	for (unsigned i = 1; i <= drives; i++) {
		snprintf(path, sizeof(path), "%s/drive%u", directory, i);
		if ((rc = directory_own(path, e)) < 0)
			return (rc);
	}
	return (config_make(directory, config_path, drives, e));
}

/* How to call holdfastctl from a shell with our PATH. */
static void
ctl_name(const struct supervisor *s, char out[4096])
{
	const char *path = getenv("PATH");
	char place[4200], *real;

	snprintf(out, 4096, "holdfastctl");
	for (size_t n; path != NULL && *path != '\0'; path += n + (path[n] == ':')) {
		n = strcspn(path, ":");
		snprintf(place, sizeof(place), "%.*s/holdfastctl", (int)(n < 4000 ? n : 4000),
		    path);
		if (access(place, X_OK) == 0)
			return;
	}
	snprintf(place, sizeof(place), "%s/../bin/holdfastctl", s->program_dir);
	real = realpath(place, NULL);
	if (real != NULL)
		snprintf(out, 4096, "%s", real);
	free(real);
}

/* Lines to paste: the secret is read from its file and does not reach the terminal. */
static void
summary_examples(const struct supervisor *s, const struct socket_group *s3)
{
	char ctl[4096], file[4096];
	bool given = s->config.auth_root_user[0] != '\0';

	ctl_name(s, ctl);
	config_credentials_file(&s->config, file);
	announce_person("Try, in another terminal:\n");
	if (s3 != NULL) {
		announce_person("  export AWS_ACCESS_KEY_ID=%s AWS_DEFAULT_REGION=%s\n",
		    s->credentials.access_key, s->config.s3_region);
		if (given)
			announce_person("  export AWS_SECRET_ACCESS_KEY=...\n");
		else
			announce_person("  export AWS_SECRET_ACCESS_KEY=$(sed -n "
			    "'s/^secret_key *= *//p' %s)\n", file);
		announce_person("  aws --endpoint-url http://%s s3 mb s3://first\n"
		    "  aws --endpoint-url http://%s s3 cp --recursive /usr/share/doc "
		    "s3://first/doc\n", s3->address, s3->address);
	}
	announce_person("  %s -c %s status\n\nCtrl-C stops everything in order.\n", ctl,
	    s->config_path);
}

void
quickstart_summary(const struct supervisor *s)
{
	const struct socket_group *s3 = sockets_find(&s->sockets, "s3");
	const struct socket_group *admin = sockets_find(&s->sockets, "admin");
	const char *run_dir = s->config.supervisor_run_dir;

	announce_person("\nHoldfast is ready.\n\n");
	if (s3 != NULL)
		announce_person("  S3 endpoint     http://%s   (region %s)\n", s3->address,
		    s->config.s3_region);
	if (admin != NULL)
		announce_person("  admin, metrics  http://%s\n", admin->address);
	announce_person("  access key      %s\n  secret key      %s\n", s->credentials.access_key,
	    s->credentials.source);
	announce_person("  control socket  %s/holdfastd.control\n  logs            %s\n\n", run_dir,
	    s->config.supervisor_log_dir);
	summary_examples(s, s3);
}
