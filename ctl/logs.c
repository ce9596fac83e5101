/*
 * logs - `holdfastctl logs`: the end of log files, and what comes after, over rotations.
 *
 * The paths come from the state file, so that logs can be read when holdfastd is gone. Following
 * waits for the kernel to say that something changed; nothing is polled.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ctl/peer.h"
#include "ctl/status_table.h"

#define FILES_MAX 300
#define BLOCK_BYTES 65536

struct log_view {
	char	name[64], path[4200];
	int	fd;
	ino_t	inode;
};

static struct log_view views[FILES_MAX];
static unsigned view_count;
static const struct log_view *shown;		/* whose lines came last */

static void
view_add(const char *name, const char *path)
{
	struct log_view *view = &views[view_count];

	if (view_count == FILES_MAX)
		return;
	snprintf(view->name, sizeof(view->name), "%s", name);
	snprintf(view->path, sizeof(view->path), "%s", path);
	view->fd = -1;
	view_count++;
}

static bool
view_open(struct log_view *view)
{
	struct stat st;

	view->fd = open(view->path, O_RDONLY | O_CLOEXEC);
	if (view->fd < 0)
		return (false);
	view->inode = fstat(view->fd, &st) == 0 ? st.st_ino : 0;
	return (true);
}

static void
views_find(const struct ctl *ctl, const char *name)
{
	cJSON *state = peer_state_file(ctl);
	const cJSON *row;
	const char *log_dir = json_text(cJSON_GetObjectItemCaseSensitive(state, "holdfastd"),
	    "log_dir");
	char path[4200];

	if (log_dir[0] == '\0')
		log_dir = ctl->log_dir;
	if (strcmp(name, "holdfastd") == 0 || strcmp(name, "all") == 0) {
		snprintf(path, sizeof(path), "%s/holdfastd.log", log_dir);
		view_add("holdfastd", path);
	}
	cJSON_ArrayForEach(row, cJSON_GetObjectItemCaseSensitive(state, "services"))
		if (status_row_matches(row, name))
			view_add(json_text(row, "name"), json_text(row, "log"));
	cJSON_Delete(state);
}

static void
bytes_print(const struct log_view *view, const char *data, size_t bytes)
{
	if (view_count > 1 && shown != view && bytes > 0)
		printf("%s==> %s <==\n", shown != NULL ? "\n" : "", view->name);
	shown = bytes > 0 ? view : shown;
	fwrite(data, 1, bytes, stdout);
}

/* Where the last `lines` lines begin: looks backwards, block by block. */
static off_t
tail_offset(int fd, uint64_t lines)
{
	off_t end = lseek(fd, 0, SEEK_END), at = end;
	char block[BLOCK_BYTES];

	while (at > 0) {
		size_t want = at < (off_t)sizeof(block) ? (size_t)at : sizeof(block);
		ssize_t n = pread(fd, block, want, at - (off_t)want);

		if (n <= 0)
			break;
		for (ssize_t i = n; i > 0; i--)
			if (block[i - 1] == '\n' && at - (off_t)want + i < end && lines-- == 1)
				return (at - (off_t)want + i);
		at -= (off_t)want;
	}
	return (0);
}

static void
rest_print(const struct log_view *view)
{
	char block[BLOCK_BYTES];
	ssize_t n;

	while ((n = read(view->fd, block, sizeof(block))) > 0)
		bytes_print(view, block, (size_t)n);
}

static void
view_advance(struct log_view *view)
{
	struct stat st;

	if (view->fd >= 0)
		rest_print(view);
	if (stat(view->path, &st) < 0 || (view->fd >= 0 && st.st_ino == view->inode))
		return;
	if (view->fd >= 0)
		close(view->fd);	/* it was rotated: what follows is in a new file */
	if (view_open(view))
		rest_print(view);
}

static int
views_follow(void)
{
	char events[sizeof(struct inotify_event) + NAME_MAX + 1]
	    __attribute__((aligned(__alignof__(struct inotify_event))));
	char directory[4200];
	int fd = inotify_init1(IN_CLOEXEC);

	for (unsigned i = 0; i < view_count && fd >= 0; i++) {
		snprintf(directory, sizeof(directory), "%s", views[i].path);
		directory[strrchr(directory, '/') - directory] = '\0';
		if (inotify_add_watch(fd, directory, IN_MODIFY | IN_CREATE | IN_MOVED_TO) < 0) {
			close(fd);
			fd = -1;
		}
	}
	if (fd < 0) {
		fprintf(stderr, "holdfastctl: cannot watch the logs: %s\n", strerror(errno));
		return (CTL_FAILED);
	}
	do {
		for (unsigned i = 0; i < view_count; i++)
			view_advance(&views[i]);
		if (fflush(stdout) != 0)
			break;
	} while (read(fd, events, sizeof(events)) > 0);
	close(fd);
	return (CTL_OK);
}

int
verb_logs(const struct ctl *ctl, const struct verb *v, char **arguments, unsigned count)
{
	struct err e = ERR_INIT;
	unsigned opened = 0;

	(void)v;
	(void)count;
	if (peer_denied(ctl, &e) < 0)
		return (peer_fail(ctl, &e));
	views_find(ctl, arguments[0]);
	if (view_count == 0) {
		fprintf(stderr, "holdfastctl: no log of \"%s\" is known on %s\n", arguments[0],
		    ctl->run_dir);
		return (CTL_FAILED);
	}
	for (unsigned i = 0; i < view_count; i++) {
		if (!view_open(&views[i])) {
			fprintf(stderr, "holdfastctl: %s: %s\n", views[i].path, strerror(errno));
			continue;
		}
		opened++;
		lseek(views[i].fd, ctl->lines > 0 ? tail_offset(views[i].fd, ctl->lines) : 0,
		    ctl->lines > 0 ? SEEK_SET : SEEK_END);
		rest_print(&views[i]);
	}
	if (ctl->follow)
		return (views_follow());
	return (opened > 0 ? CTL_OK : CTL_FAILED);
}
