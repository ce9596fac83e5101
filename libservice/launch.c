/*
 * launch - how holdfastd started this process: arguments, HOLDFAST_* variables, inherited
 * descriptors.
 *
 * Every descriptor that is named is checked to be open and becomes close-on-exec; a value that is
 * not understood is an error, never ignored.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "libservice/service_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "libbase/file.h"

static int
launch_arguments(struct launch *l, const char *service, int argc, char **argv, struct err *e)
{
	int i;

	snprintf(l->config_path, sizeof(l->config_path), "%s/holdfast.conf", HOLDFAST_SYSCONFDIR);
	for (i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--version") == 0) {
			printf("holdfast-%s %s\n", service, PACKAGE_VERSION);
			return (ERR_CANCELLED);
		}
		if (strcmp(argv[i], "--help") == 0) {
			printf("usage: holdfast-%s [-c CONFIG]\nStarted by holdfastd(8).\n",
			    service);
			return (ERR_CANCELLED);
		}
		if (strcmp(argv[i], "-c") != 0 || i + 1 == argc)
			return (err_set(e, ERR_CONFIG, "argument '%s' is not understood; usage: "
			    "holdfast-%s [-c CONFIG]", argv[i], service));
		i++;
		if (strlen(argv[i]) >= sizeof(l->config_path))
			return (err_set(e, ERR_CONFIG, "the path of the config file is too long"));
		memcpy(l->config_path, argv[i], strlen(argv[i]) + 1);
	}
	return (0);
}

static int
launch_number(const char *variable, uint64_t max, uint64_t *out, struct err *e)
{
	const char *text = getenv(variable);

	*out = 0;
	if (text != NULL && u64_parse(text, strlen(text), max, out) < 0)
		return (err_set(e, ERR_CONFIG, "%s is '%s', not a number up to %llu", variable,
		    text, (unsigned long long)max));
	return (0);
}

/* One "name=number" of HOLDFAST_FDS. */
static int
launch_descriptor(struct launch *l, const char *text, size_t bytes, struct err *e)
{
	const char *equals = memchr(text, '=', bytes);
	struct slice name;
	uint64_t number;
	int fd;

	if (equals == NULL || u64_parse(equals + 1, bytes - (size_t)(equals + 1 - text), INT_MAX,
	    &number) < 0)
		return (err_set(e, ERR_CONFIG, "HOLDFAST_FDS has '%.*s', which is not NAME=NUMBER",
		    (int)bytes, text));
	fd = (int)number;
	name = SLICE(text, (size_t)(equals - text));
	if (fcntl(fd, F_GETFD) < 0)
		return (err_set(e, ERR_CONFIG,
		    "HOLDFAST_FDS has '%.*s', but that descriptor is not open", (int)bytes, text));
	if (fd > 2)
		fd_set_cloexec(fd, 1);
	if (slice_equal(name, SLICE_LITERAL("notify"))) {
		l->notify_fd = fd;
		fd_set_nonblock(fd, 1);
	} else if (slice_equal(name, SLICE_LITERAL("parent"))) {
		l->parent_fd = fd;
		fd_set_nonblock(fd, 1);
	} else if (slice_equal(name, SLICE_LITERAL("table"))) {
		l->table_fd = fd;
	} else if (slice_equal(name, SLICE_LITERAL("readers"))) {
		l->readers_fd = fd;
	} else if (slice_equal(name, SLICE_LITERAL("socket")) &&
	    l->socket_count < SERVICE_SOCKETS_MAX) {
		l->sockets[l->socket_count++] = fd;
		fd_set_nonblock(fd, 1);
	} else {
		return (err_set(e, ERR_CONFIG,
		    "HOLDFAST_FDS has '%.*s', which is not known here or one too many",
		    (int)bytes, text));
	}
	return (0);
}

static int
launch_descriptors(struct launch *l, struct err *e)
{
	const char *p = getenv("HOLDFAST_FDS");
	int rc = 0;

	while (rc == 0 && p != NULL && *p != '\0') {
		size_t n = strcspn(p, ",");

		rc = launch_descriptor(l, p, n, e);
		p += n + (p[n] == ',');
	}
	return (rc);
}

int
launch_read(struct launch *l, const char *service, int argc, char **argv, struct err *e)
{
	uint64_t instance;
	int rc;

	memset(l, 0, sizeof(*l));
	l->notify_fd = l->parent_fd = l->table_fd = l->readers_fd = -1;
	l->parent_pid = getppid();
	rc = launch_arguments(l, service, argc, argv, e);
	if (rc == 0)
		rc = launch_number("HOLDFAST_INSTANCE", 9999, &instance, e);
	if (rc < 0)
		return (rc);
	l->instance = (unsigned)instance;
	rc = launch_number("HOLDFAST_GENERATION", UINT64_MAX, &l->generation, e);
	if (rc == 0)
		rc = launch_descriptors(l, e);
	return (rc);
}

void
launch_notify(const struct launch *l, const char *line)
{
	ssize_t n;

	if (l->notify_fd < 0)
		return;
	do
		n = write(l->notify_fd, line, strlen(line));
	while (n < 0 && errno == EINTR);
	/* A full pipe belongs to a holdfastd that does not read; it can still ask for the state. */
}

/* A service that a person started by hand has no parent descriptor, and outlives the shell. */
int
launch_bind_to_parent(const struct launch *l, struct err *e)
{
	struct pollfd p = { .fd = l->parent_fd, .events = POLLIN };

	if (l->parent_fd < 0)
		return (0);
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
		return (err_errno(e, errno, "cannot ask to die with holdfastd"));
	if (getppid() != l->parent_pid || (poll(&p, 1, 0) == 1 && (p.revents & POLLHUP) != 0))
		return (err_set(e, ERR_CANCELLED, "holdfastd is gone already"));
	return (0);
}
