/*
 * verbs - the table of what holdfastctl can be told to do.
 *
 * To add one: a row here, its function in a file of its name, a paragraph in holdfastctl(1).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "ctl/verb.h"

const struct verb verbs[] = {
	{ "status", "[SERVICE] [--json]", 0, 1, verb_status,
	    "every process: state, CPU, memory, and why not",
	    "Shows every process: state, pid, generation, uptime, restarts, last exit, CPU,\n"
	    "memory. Exit status 4 if one that should run does not. When holdfastd is gone\n"
	    "or does not answer, shows what it wrote down last, with exit status 3." },
	{ "services", "[SERVICE]", 0, 1, verb_services,
	    "the whole contract of every service, as JSON",
	    "Prints the whole contract of every service as JSON: desired, current, status,\n"
	    "shutdown, side effects, reconcile plan. Reading it changes nothing." },
	{ "start", "SERVICE [--no-wait] [--wait SECONDS]", 1, 1, verb_action,
	    "starts what was stopped or waits for its next try",
	    "Starts a service that was stopped, or one that waits for its next try, at once.\n"
	    "Waits until it is ready. SERVICE is a name (s3), an instance (s3.1) or all." },
	{ "stop", "SERVICE [--no-wait] [--wait SECONDS]", 1, 1, verb_action,
	    "stops it in order, until it is started",
	    "Stops a service in order: cancellation, TERM, KILL at its deadline. It stays\n"
	    "stopped until it is started again." },
	{ "restart", "SERVICE [--no-wait] [--wait SECONDS]", 1, 1, verb_action,
	    "one instance after the other",
	    "Restarts one instance after the other, each ready before the next one stops." },
	{ "pause", "SERVICE", 1, 1, verb_action,
	    "takes up no new work, also after a restart",
	    "Lets a service finish what it does and take up nothing new. Kept over restarts." },
	{ "resume", "SERVICE", 1, 1, verb_action,
	    "ends a pause", "Lets it take up work again." },
	{ "reload", "SERVICE", 1, 1, verb_action,
	    "reads the config file again",
	    "Reads the config file again. SERVICE may be holdfastd, which also tells all\n"
	    "services." },
	{ "cancel", "SERVICE", 1, 1, verb_action,
	    "ends the work under way", "Ends the work that a service is doing now." },
	{ "run-now", "SERVICE", 1, 1, verb_action,
	    "begins a cycle at once",
	    "Begins a cycle of a periodic service at once." },
	{ "logs", "[-f] [-n LINES] SERVICE", 1, 1, verb_logs,
	    "the end of its log; -f goes on",
	    "Shows the end of a service's log; -f goes on as it grows, over rotations.\n"
	    "SERVICE may be holdfastd or all." },
	{ "events", "[--json]", 0, 0, verb_events,
	    "what happens, as it happens",
	    "Shows what happens, as it happens: starts, readiness, exits, cancellations." },
	{ "config", "[KEY] [--json]", 0, 1, verb_config,
	    "every value, and where it came from",
	    "Shows every config value and where it came from; of the running holdfastd, or,\n"
	    "without one, as the config file and this environment give it." },
	{ "log-level", "SERVICE LEVEL", 2, 2, verb_log_level,
	    "error, warn, info or debug, until its restart",
	    "Changes what a running service logs: error, warn, info or debug." },
	{ "store", "check|dump|stat|rebuild-index|seal [ARGUMENTS]", 1, 4, verb_store,
	    "check, dump, stat, seal, rebuild-index",
	    "Looks into a store: `check' reads everything and names every fault, also of one\n"
	    "that runs; of one that is stopped `dump' prints, and `stat' counts, what is in it.\n"
	    "`store --help' tells more. `store rebuild-index' restarts the store and lets it\n"
	    "build its index anew from the log; shows how far it is. `store seal' has the open\n"
	    "segment sealed, so that it can be converted or vacuumed." },
	{ "tasks", "list|show|submit|cancel|retry|hold|release|workers|why ...", 1, 3, verb_tasks,
	    "maintenance: what waits and runs, and why not",
	    "Maintenance: what waits and runs, who does it, and why nothing is done.\n\n"
	    "  list [STATE|all]      what waits and runs, and how far it is\n"
	    "  show TASK             everything about one\n"
	    "  submit TYPE SEGMENT   asks for erasure_coding or vacuum of a segment: its\n"
	    "                        number, or the 16 digits in the names of its files\n"
	    "  submit drive_rebuild SLOT   asks for what the drive of a slot lacks\n"
	    "  cancel TASK           ends it; of a dead letter: writes it off\n"
	    "  retry TASK            tries again now what failed\n"
	    "  hold SEGMENT          keeps a segment as it is, until\n"
	    "  release SEGMENT\n"
	    "  workers               who does it, and how well\n"
	    "  why                   of what is not done, why not; how it goes, in numbers" },
	{ "drive", "list|replace|return|accept-loss|retire [ARGUMENTS] [--json]", 1, 33, verb_drive,
	    "list, replace, return, accept-loss, retire",
	    "The drives.\n\n"
	    "  list                      what they are, and what they lack\n"
	    "  replace SLOT [DIRECTORY]  takes an empty directory for a slot; what the old\n"
	    "                            drive had is rebuilt\n"
	    "  return SLOT               takes the slot's own drive again\n"
	    "  accept-loss SLOT...       gives up drives that are away\n"
	    "  retire SLOT DIRECTORY     copies a drive that works to an empty directory,\n"
	    "                            which takes its slot" },
	{ "shutdown", "[--no-wait] [--wait SECONDS]", 0, 0, verb_shutdown,
	    "stops all services in order, and holdfastd",
	    "Stops all services in order, and holdfastd. Waits until it is gone." },
};
const unsigned verb_count = sizeof(verbs) / sizeof(verbs[0]);
