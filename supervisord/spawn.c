/*
 * spawn - starts one service process as libservice/service.h describes.
 *
 * posix_spawn only: nng's threads run in this process, and a plain fork would copy their locks.
 * The child gets descriptors 0 to 2 and those that HOLDFAST_FDS names; everything else is closed,
 * whatever its flags.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "supervisord/spawn.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

#define FD_RAISED 64

extern char **environ;

int
spawn_raise_fd(int fd)
{
	int raised;

	if (fd < 0 || fd >= FD_RAISED)
		return (fd);
	raised = fcntl(fd, F_DUPFD_CLOEXEC, FD_RAISED);
	if (raised < 0)
		return (fd);
	close(fd);
	return (raised);
}

/* What the child is told by name is ours alone; what init told us is not for it. */
static bool
env_is_inherited(const char *entry)
{
	static const char *const own[] = {
		"HOLDFAST_INSTANCE=", "HOLDFAST_GENERATION=", "HOLDFAST_FDS=", "NOTIFY_SOCKET=",
		"LISTEN_FDS=", "LISTEN_PID=", "LISTEN_FDNAMES=", "WATCHDOG_USEC=", "WATCHDOG_PID=",
	};

	for (size_t i = 0; i < sizeof(own) / sizeof(own[0]); i++)
		if (strncmp(entry, own[i], strlen(own[i])) == 0)
			return (false);
	return (true);
}

struct child_env {
	char	**entries;
	char	  instance[40], generation[48], fds[256];
};

static void
env_build(struct child_env *env, const struct spawn *s)
{
	size_t count = 0, n = 0;

	while (environ[count] != NULL)
		count++;
	env->entries = calloc(count + 4, sizeof(char *));
	assert(env->entries != NULL);
	for (size_t i = 0; i < count; i++)
		if (env_is_inherited(environ[i]))
			env->entries[n++] = environ[i];
	snprintf(env->instance, sizeof(env->instance), "HOLDFAST_INSTANCE=%u", s->instance);
	snprintf(env->generation, sizeof(env->generation), "HOLDFAST_GENERATION=%llu",
	    (unsigned long long)s->generation);
	env->entries[n++] = env->instance;
	env->entries[n++] = env->generation;
	env->entries[n++] = env->fds;
}

/* Hands fd to the child as the next free number and writes its name into HOLDFAST_FDS. */
static int
give_fd(posix_spawn_file_actions_t *actions, struct child_env *env, int fd, int *next,
    const char *name)
{
	size_t used = strlen(env->fds);

	assert(fd >= 0);
	if (fd < FD_RAISED)
		return (EMFILE);	/* raising failed: the table of descriptors is full */
	snprintf(env->fds + used, sizeof(env->fds) - used, "%s%s=%d",
	    used > 0 && env->fds[used - 1] != '=' ? "," : "", name, *next);
	return (posix_spawn_file_actions_adddup2(actions, fd, (*next)++));
}

static int
actions_build(posix_spawn_file_actions_t *actions, struct child_env *env, const struct spawn *s)
{
	int next = 3, rc;

	assert(s->socket_count <= SPAWN_SOCKETS_MAX);
	snprintf(env->fds, sizeof(env->fds), "HOLDFAST_FDS=");
	rc = posix_spawn_file_actions_addopen(actions, 0, "/dev/null", O_RDONLY, 0);
	rc = rc != 0 ? rc : posix_spawn_file_actions_adddup2(actions, s->log_fd, 1);
	rc = rc != 0 ? rc : posix_spawn_file_actions_adddup2(actions, s->log_fd, 2);
	rc = rc != 0 ? rc : give_fd(actions, env, s->notify_fd, &next, "notify");
	rc = rc != 0 ? rc : give_fd(actions, env, s->parent_fd, &next, "parent");
	if (s->table_fd >= 0)
		rc = rc != 0 ? rc : give_fd(actions, env, s->table_fd, &next, "table");
	if (s->readers_fd >= 0)
		rc = rc != 0 ? rc : give_fd(actions, env, s->readers_fd, &next, "readers");
	for (unsigned i = 0; i < s->socket_count; i++)
		rc = rc != 0 ? rc : give_fd(actions, env, s->socket_fds[i], &next, "socket");
	rc = rc != 0 ? rc : posix_spawn_file_actions_addclosefrom_np(actions, next);
	rc = rc != 0 ? rc : posix_spawn_file_actions_addchdir_np(actions, "/");
	return (rc);
}

/* An own process group, so that Ctrl-C reaches holdfastd only, and signals as after boot. */
static int
attributes_build(posix_spawnattr_t *attributes)
{
	sigset_t none, all;
	int rc;

	sigemptyset(&none);
	sigfillset(&all);
	rc = posix_spawnattr_setpgroup(attributes, 0);
	rc = rc != 0 ? rc : posix_spawnattr_setsigmask(attributes, &none);
	rc = rc != 0 ? rc : posix_spawnattr_setsigdefault(attributes, &all);
	return (rc != 0 ? rc : posix_spawnattr_setflags(attributes, POSIX_SPAWN_SETPGROUP |
	    POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF));
}

static int
spawn_run(const struct spawn *s, struct child_env *env, pid_t *pid)
{
	const char *slash = strrchr(s->program, '/');
	char *argv[] = { (char *)(slash != NULL ? slash + 1 : s->program), (char *)"-c",
		(char *)s->config_path, NULL };
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attributes;
	int rc;

	posix_spawn_file_actions_init(&actions);
	posix_spawnattr_init(&attributes);
	rc = actions_build(&actions, env, s);
	if (rc == 0)
		rc = attributes_build(&attributes);
	if (rc == 0)
		rc = posix_spawn(pid, s->program, &actions, &attributes, argv, env->entries);
	posix_spawnattr_destroy(&attributes);
	posix_spawn_file_actions_destroy(&actions);
	return (rc);
}

int
spawn_service(const struct spawn *s, pid_t *pid, int *pidfd, struct err *e)
{
	struct child_env env;
	int rc;

	env_build(&env, s);
	rc = spawn_run(s, &env, pid);
	free(env.entries);
	if (rc != 0)
		return (err_errno(e, rc, "cannot run %s", s->program));
	*pidfd = pidfd_open(*pid, 0);
	if (*pidfd >= 0)
		return (0);
	/* Without it the process could not be watched: better none than one that nobody sees. */
	rc = errno;
	kill(-*pid, SIGKILL);
	waitpid(*pid, NULL, 0);
	return (err_errno(e, rc, "cannot watch %s (pid %d)", s->program, (int)*pid));
}
