/*
 * test_supervisor_state - the state file: what is written can be read again, generations go on, and
 * files that nobody understands stop nothing.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "libbase/clock.h"
#include "libbase/file.h"
#include "supervisord/procfs.h"
#include "supervisord/report.h"
#include "supervisord/state_file.h"
#include "supervisord/supervisor.h"

extern char **environ;

static struct supervisor s;
static struct child children[2];
static char directory[] = "/tmp/test_supervisor_state.XXXXXX";

static void
set_up(void)
{
	cr_assert(mkdtemp(directory) != NULL);
	config_init(&s.config);
	cr_assert(eq(int, config_set(&s.config, "supervisor", "run_dir", directory, CONFIG_FILE,
	    NULL), 0));
	s.children = children;
	s.child_count = 2;
	for (unsigned i = 0; i < 2; i++) {
		children[i].supervisor = &s;
		children[i].row = &service_rows[i];
		children[i].row_index = i;
		snprintf(children[i].name, sizeof(children[i].name), "%s.0", service_rows[i].name);
		children[i].state = CHILD_STOPPED;
		children[i].wanted = true;
	}
}

static void
tear_down(void)
{
	char command[96];

	config_release(&s.config);
	snprintf(command, sizeof(command), "rm -rf %s", directory);
	cr_assert(eq(int, system(command), 0));
}

static void
state_put(const char *text)
{
	char path[108];

	cr_assert(eq(int, file_replace(supervisor_run_path(&s, "holdfastd.state", path), text,
	    strlen(text), 0600, NULL), 0));
}

Test(state, generations_go_on, .init = set_up, .fini = tear_down)
{
	children[0].generation = 41;
	children[1].generation = 7;
	state_file_write(&s);
	children[0].generation = children[1].generation = 0;
	state_file_generations(&s);
	cr_assert(eq(u64, children[0].generation, 41));
	cr_assert(eq(u64, children[1].generation, 7));
	cr_assert(eq(int, state_file_predecessors(&s, 0, NULL), 0));
}

Test(state, nonsense_stops_nothing, .init = set_up, .fini = tear_down)
{
	static const char *const files[] = { "", "{", "[]", "null", "{\"services\":3}",
		"{\"services\":[1,null,{\"name\":7,\"pid\":\"x\"}]}", "\xff\xfe\x00" };

	cr_assert(eq(int, state_file_predecessors(&s, 0, NULL), 0));
	for (unsigned i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		state_put(files[i]);
		cr_assert(eq(int, state_file_predecessors(&s, 0, NULL), 0), "file %u", i);
		state_file_generations(&s);
		cr_assert(eq(u64, children[0].generation, 0));
	}
}

static pid_t
sleeper_start(void)
{
	char *argv[] = { (char *)"sleep", (char *)"60", NULL };
	pid_t pid;

	cr_assert(eq(int, posix_spawnp(&pid, "sleep", NULL, NULL, argv, environ), 0));
	return (pid);
}

Test(state, predecessors_are_waited_for_and_killed, .init = set_up, .fini = tear_down)
{
	struct process_stat stat;
	int status;
	uint64_t before;

	children[0].pid = sleeper_start();
	cr_assert(process_stat(children[0].pid, &stat));
	children[0].pid_start_ticks = stat.start_ticks;
	state_file_write(&s);
	before = clock_mono_ms();
	cr_assert(eq(int, state_file_predecessors(&s, 100, NULL), 0));
	cr_assert(clock_mono_ms() - before >= 95);
	cr_assert(eq(int, waitpid(children[0].pid, &status, 0), children[0].pid));
	cr_assert(eq(int, WTERMSIG(status), SIGKILL));
}

Test(state, another_process_with_the_same_pid_is_left_alone, .init = set_up, .fini = tear_down)
{
	struct process_stat stat;

	children[0].pid = sleeper_start();
	cr_assert(process_stat(children[0].pid, &stat));
	children[0].pid_start_ticks = stat.start_ticks + 1;
	state_file_write(&s);
	cr_assert(eq(int, state_file_predecessors(&s, 0, NULL), 0));
	cr_assert(process_stat(children[0].pid, &stat) && stat.state != 'Z');
	kill(children[0].pid, SIGKILL);
	waitpid(children[0].pid, NULL, 0);
}

Test(state, what_holds_a_child_back_is_named, .init = set_up, .fini = tear_down)
{
	char text[128];
	cJSON *o;

	supervisor_blocker(&s, &children[1], text, sizeof(text));
	cr_assert(eq(str, text, (char *)"waits for store.0 to be started"));
	o = report_child(&children[1], true);
	cr_assert(eq(str, cJSON_GetStringValue(cJSON_GetObjectItem(o, "note")), text));
	cr_assert(cJSON_GetObjectItem(cJSON_GetObjectItem(o, "contract"), "current") != NULL);
	cJSON_Delete(o);
	children[0].starts = 1;
	supervisor_blocker(&s, &children[1], text, sizeof(text));
	cr_assert(eq(str, text, (char *)""));
}

Test(state, who_needs_another_waits_for_its_readiness, .init = set_up, .fini = tear_down)
{
	const struct service_row needy = { .name = "walker", .after = "", .needs = "store" };
	char text[128];

	children[1].row = &needy;
	children[1].row_index = 5;
	children[0].starts = 1;
	children[0].state = CHILD_STARTING;
	supervisor_blocker(&s, &children[1], text, sizeof(text));
	cr_assert(eq(str, text, (char *)"waits for store.0 to be ready (it is starting)"));
	children[0].state = CHILD_RUNNING;
	supervisor_blocker(&s, &children[1], text, sizeof(text));
	cr_assert(eq(str, text, (char *)""));
	children[0].state = CHILD_DISABLED;
	supervisor_blocker(&s, &children[1], text, sizeof(text));
	cr_assert(eq(str, text, (char *)"waits for store.0 to be ready (it is disabled)"));
}
