/*
 * rebuild_index - `holdfastctl store rebuild-index': the index is thrown away and built anew from
 * the log.
 *
 * A mark beside the index's directory tells the store to do that when it starts, so a store that is
 * killed in between begins again. Protocol servers answer 503 with Retry-After meanwhile. How far
 * it is comes from holdfastd, as `status' shows it.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ctl/peer.h"
#include "libbase/config.h"

#define CALL_MS		65000	/* longer than any supervisor.probe_interval */
#define LOOK_US		500000

static int
mark_make(const struct ctl *ctl)
{
	char directory[4096], path[4200];
	struct err e = ERR_INIT;
	struct config c;
	int fd;

	if (config_load(&c, ctl->config_path, &e) < 0) {
		fprintf(stderr, "holdfastctl: %s\n", e.text);
		return (CTL_USAGE);
	}
	if (strcmp(c.supervisor_run_dir, ctl->run_dir) != 0) {
		fprintf(stderr, "holdfastctl: the config is of the store in %s, not of that in "
		    "%s: give -c\n", c.supervisor_run_dir, ctl->run_dir);
		config_release(&c);
		return (CTL_USAGE);
	}
	config_index_dir(&c, directory);
	config_release(&c);
	snprintf(path, sizeof(path), "%s" CONFIG_INDEX_REBUILD, directory);
	fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
	if (fd < 0 || fsync(fd) < 0) {
		fprintf(stderr, "holdfastctl: %s: %s\n", path, strerror(errno));
		return (CTL_FAILED);
	}
	close(fd);
	return (CTL_OK);
}

static int
store_restart(const struct ctl *ctl)
{
	struct err e = ERR_INIT;

	if (peer_restart_store(ctl, ctl->reason != NULL ? ctl->reason :
	    "the index is built anew", 0, &e) < 0)
		return (peer_fail(ctl, &e));
	return (CTL_OK);
}

/* The store's generation, state and note; false if holdfastd does not tell. */
static bool
store_look(const struct ctl *ctl, double *generation, char state[32], char note[200])
{
	const cJSON *row;
	struct err e = ERR_INIT;
	bool found = false;
	cJSON *o;

	if (peer_json(ctl, MESSAGE_SERVICES, CALL_MS, &o, &e) < 0)
		return (false);
	cJSON_ArrayForEach(row, cJSON_GetObjectItemCaseSensitive(o, "services")) {
		if (strncmp(json_text(row, "name"), "store", 5) != 0)
			continue;
		*generation = json_number(row, "generation");
		snprintf(state, 32, "%s", json_text(row, "state"));
		snprintf(note, 200, "%s", json_text(row, "note"));
		found = true;
	}
	cJSON_Delete(o);
	return (found);
}

/* Until the store runs again, in a later life than before. */
static int
rebuild_watch(const struct ctl *ctl, double before)
{
	char state[32] = "", note[200], told[200] = "";
	double generation = before;

	for (;;) {
		if (store_look(ctl, &generation, state, note)) {
			if (generation > before && strcmp(state, "running") == 0)
				break;
			if (note[0] != '\0' && strcmp(note, told) != 0)
				puts(note);
			snprintf(told, sizeof(told), "%s", note);
			fflush(stdout);
		}
		usleep(LOOK_US);
	}
	puts("the index was built anew, and the store runs");
	return (CTL_OK);
}

int
rebuild_index(const struct ctl *ctl)
{
	char state[32], note[200];
	double before = 0;
	int rc;

	if (!store_look(ctl, &before, state, note)) {
		rc = mark_make(ctl);
		if (rc == CTL_OK)
			puts("holdfastd does not run: the index will be built anew at its next "
			    "start");
		return (rc);
	}
	rc = mark_make(ctl);
	if (rc == CTL_OK)
		rc = store_restart(ctl);
	return (rc != CTL_OK || ctl->no_wait ? rc : rebuild_watch(ctl, before));
}
