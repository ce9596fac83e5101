/*
 * test_config - every source of a value, their order, and what is refused with which words.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "libbase/bytes.h"
#include "libbase/config.h"

static char path[] = "/tmp/test_config.XXXXXX";
static struct err e;
static struct config c;

static void
setup(void)
{
	int fd = mkstemp(path);

	cr_assert_geq(fd, 0);
	close(fd);
	clearenv();
}

static void
teardown(void)
{
	unlink(path);
}

TestSuite(config, .init = setup, .fini = teardown);

static int
load(const char *text)
{
	FILE *f = fopen(path, "w");

	fputs(text, f);
	fclose(f);
	return (config_load(&c, path, &e));
}

/* The file is refused, with its name, the line and these words. */
static void
refused(const char *text, unsigned line, const char *words)
{
	char start[100];

	cr_assert_eq(load(text), ERR_CONFIG, "%s", text);
	snprintf(start, sizeof(start), "%s:%u: ", path, line);
	cr_assert_eq(strncmp(e.text, start, strlen(start)), 0, "%s", e.text);
	cr_assert_not_null(strstr(e.text, words), "%s", e.text);
}

static char *
formatted(enum config_key key)
{
	static struct buf b = BUF_INIT;

	buf_reset(&b);
	config_format(&c, key, &b);
	return (buf_string(&b));
}

Test(config, defaults)
{
	enum config_source source = CONFIG_ENV;

	config_init(&c);
	cr_assert_eq(c.s3_port, 9000);
	cr_assert_eq(c.store_segment_bytes, 256u << 20);
	cr_assert_eq(c.supervisor_backoff_max, 30000);
	cr_assert_str_eq(c.s3_region, "us-east-1");
	cr_assert_eq(c.source[CONFIG_KEY_s3_port], CONFIG_DEFAULT);
	cr_assert(config_enabled(&c, "s3", &source));
	cr_assert_eq(source, CONFIG_DEFAULT);
	config_release(&c);
}

Test(config, no_file_is_fine_a_missing_one_is_not)
{
	cr_assert_eq(config_load(&c, NULL, &e), 0);
	config_release(&c);
	cr_assert_eq(config_load(&c, "/nonexistent/x", &e), ERR_NOT_FOUND);
	cr_assert_not_null(strstr(e.text, "/nonexistent/x"));
}

Test(config, file_values)
{
	cr_assert_eq(load("# comment\n; another\n\n[s3]\r\nport = 9100\r\n  store_wait=2m\n"
			  "[store]\ndrives = /a b;c /d\nsegment_bytes = 8MiB\nerasure = 4+2\n"),
	    0, "%s", e.text);
	cr_assert_eq(c.s3_port, 9100);
	cr_assert_eq(c.s3_store_wait, 120000);
	cr_assert_str_eq(c.store_drives, "/a b;c /d");
	cr_assert_eq(c.store_segment_bytes, 8u << 20);
	cr_assert_eq(c.source[CONFIG_KEY_s3_port], CONFIG_FILE);
	cr_assert_eq(c.source[CONFIG_KEY_admin_port], CONFIG_DEFAULT);
	config_release(&c);
}

Test(config, a_file_without_final_newline_and_with_bom)
{
	cr_assert_eq(load("\xef\xbb\xbf[s3]\nport = 7"), 0, "%s", e.text);
	cr_assert_eq(c.s3_port, 7);
	config_release(&c);
}

Test(config, sixteen_long_drive_paths_fit)
{
	struct buf b = BUF_INIT;
	unsigned i;

	buf_append_string(&b, "[store]\ndrives =");
	for (i = 0; i < 16; i++)
		buf_printf(&b, " /%04000u", i);
	buf_append_string(&b, "\nerasure = 12+4\n");
	cr_assert_eq(load(buf_string(&b)), 0, "%s", e.text);
	cr_assert_eq(strlen(c.store_drives), 16 * 4002 - 1);
	cr_assert_str_eq(c.store_erasure, "12+4");
	config_release(&c);
	buf_release(&b);
}

Test(config, refuses_bad_files)
{
	refused("[s3]\nprt = 1\n", 2, "unknown key \"prt\" in section [s3]");
	refused("\n\n[s4]\nport = 1\n", 4, "unknown section [s4]");
	refused("port = 1\n", 1, "\"port\" stands before the first [section]");
	refused("[s3\nport = 1\n", 1, "expected [section], key = value");
	refused("[s3]\nport\n", 2, "expected [section], key = value");
	refused("[s3]\nport = x\n", 2, "s3.port: expected a whole number, found \"x\"");
	refused("[s3]\nport = -1\n", 2, "expected a whole number");
	refused("[s3]\nport = \n", 2, "expected a whole number, found \"\"");
	refused("[s3]\nport = 65536\n", 2, "expected 0 to 65535, found \"65536\"");
	refused("[s3]\nport = 1\nport = 2\n", 3, "s3.port is set twice");
	refused("[s3]\nport = 1 ; comment\n", 2, "found \"1 ; comment\"");
	refused("[s3]\nstore_wait = 5\n", 2, "expected a time such as");
	refused("[s3]\nstore_wait = 5 s\n", 2, "expected a time such as");
	refused("[s3]\nstore_wait = 11m\n", 2, "expected 0 to 10m, found");
	refused("[store]\nsegment_bytes = 1MB\n", 2, "expected a size such as");
	refused("[store]\nsegment_bytes = 1KiB\n", 2, "expected 4MiB to 4GiB, found \"1KiB\"");
	refused("[store]\nvolume_bytes = 99999999999TiB\n", 2, "expected a size such as");
	refused("[store]\nerasure = 4\n", 2, "data and parity units such as 4+2");
	refused("[supervisor]\nlog_level = loud\n", 2, "expected error, warn, info or debug");
	refused("[supervisor]\nlog_level = verbose\n", 2, "expected error, warn, info or debug");
	refused("[s3]\nregion =\n", 2, "expected 1 to 64 bytes of text, found 0");
	refused("[s3]\nregion = a\001b\n", 2, "control characters");
}

Test(config, refuses_nul_and_endless_lines)
{
	FILE *f = fopen(path, "w");

	fwrite("[s3]\nregion = a\0b\n", 1, 18, f);
	fclose(f);
	cr_assert_eq(config_load(&c, path, &e), ERR_CONFIG);
	cr_assert_not_null(strstr(e.text, ":2: the line contains a NUL byte"), "%s", e.text);

	f = fopen(path, "w");
	fprintf(f, "[store]\ndrives = %0*d\n", 70000, 1);
	fclose(f);
	cr_assert_eq(config_load(&c, path, &e), ERR_CONFIG);
	cr_assert_not_null(strstr(e.text, ":2: the line is longer than"), "%s", e.text);

	f = fopen(path, "w");
	fprintf(f, "#%0*d\n", 2000000, 1);
	fclose(f);
	cr_assert_eq(config_load(&c, path, &e), ERR_TOO_LARGE);
}

/* Refused with the file's name and these words. */
static void
misfit(const char *text, const char *words)
{
	cr_assert_eq(load(text), ERR_CONFIG, "%s", text);
	cr_assert_eq(strncmp(e.text, path, strlen(path)), 0, "%s", e.text);
	cr_assert_not_null(strstr(e.text, words), "%s", e.text);
}

Test(config, keys_that_do_not_fit_together)
{
	misfit("[supervisor]\nbackoff_min = 10s\nbackoff_max = 1s\n",
	    ": supervisor.backoff_min: is larger than supervisor.backoff_max");
	misfit("[s3]\nport = 9001\n", ": admin.port: is 9001 on 127.0.0.1, as s3.port is");
	cr_assert_eq(load("[s3]\nport = 0\n[admin]\nport = 0\n"), 0, "%s", e.text);
	config_release(&c);
	cr_assert_eq(load("[s3]\nport = 9001\nlisten = ::1\n"), 0, "%s", e.text);
	config_release(&c);
}

Test(config, the_port_of_a_disabled_service_is_free)
{
	cr_assert_eq(load("[s3]\nport = 9001\n[service-admin]\nenabled = false\n"), 0, "%s",
	    e.text);
	config_release(&c);
	cr_assert_eq(load("[s3]\nport = 9001\n[service-s3]\nenabled = false\n"), 0, "%s",
	    e.text);
	config_release(&c);
	misfit("[s3]\nport = 9001\n[service-tasks]\nenabled = false\n", "as s3.port is");
}

Test(config, lists_name_what_there_is)
{
	struct buf b = BUF_INIT;

	misfit("[store]\ndrives = /a /b/ /c /b\n",
	    ": store.drives: /b is named twice, for slots 1 and 3");
	misfit("[tasks]\ntypes = vacuum vacum\n",
	    ": tasks.types: there is no type of task \"vacum\": erasure_coding, vacuum or");
	misfit("[worker]\ncapabilities = vacuum,drive_rebuild\n",
	    ": worker.capabilities: there is");
	misfit("[worker]\npreferred_servers = 0 x\n",
	    ": worker.preferred_servers: expected slots of drives, 0 to 31, found \"x\"");
	misfit("[worker]\npreferred_servers = 32\n", "found \"32\"");
	cr_assert_eq(load("[tasks]\ntypes =\n[worker]\ncapabilities = vacuum  drive_rebuild \n"
			  "preferred_servers = 0 31\n"), 0, "%s", e.text);
	config_release(&c);

	buf_append_string(&b, "[store]\ndrives =");
	for (unsigned i = 0; i < 33; i++)
		buf_printf(&b, " /%u", i);
	misfit(buf_string(&b), ": store.drives: expected at most 32 directories");
	buf_release(&b);
	setenv("HOLDFAST_STORE_DRIVES", "/a /a", 1);
	cr_assert_eq(load(""), ERR_CONFIG);
	cr_assert_str_eq(e.text,
	    "environment: store.drives: /a is named twice, for slots 0 and 1");
}

Test(config, environment_beats_file)
{
	setenv("HOLDFAST_S3_PORT", "9300", 1);
	setenv("HOLDFAST_SUPERVISOR_LOG_LEVEL", "debug", 1);
	cr_assert_eq(load("[s3]\nport = 9100\nregion = eu\n"), 0, "%s", e.text);
	cr_assert_eq(c.s3_port, 9300);
	cr_assert_eq(c.source[CONFIG_KEY_s3_port], CONFIG_ENV);
	cr_assert_eq(c.source[CONFIG_KEY_s3_region], CONFIG_FILE);
	cr_assert_str_eq(c.supervisor_log_level, "debug");
	config_release(&c);
}

Test(config, aliases_come_after_the_own_name)
{
	setenv("RUSTFS_ACCESS_KEY", "third", 1);
	cr_assert_eq(config_load(&c, NULL, &e), 0);
	cr_assert_str_eq(c.auth_root_user, "third");
	config_release(&c);
	setenv("HOLDFAST_ROOT_USER", "second", 1);
	cr_assert_eq(config_load(&c, NULL, &e), 0, "%s", e.text);
	cr_assert_str_eq(c.auth_root_user, "second");
	config_release(&c);
	setenv("HOLDFAST_AUTH_ROOT_USER", "first", 1);
	cr_assert_eq(config_load(&c, NULL, &e), 0, "%s", e.text);
	cr_assert_str_eq(c.auth_root_user, "first");
	config_release(&c);
}

Test(config, environment_errors)
{
	setenv("HOLDFAST_S3_PORT", "none", 1);
	cr_assert_eq(config_load(&c, NULL, &e), ERR_CONFIG);
	cr_assert_str_eq(e.text,
	    "environment: HOLDFAST_S3_PORT: s3.port: expected a whole number, found \"none\"");
	unsetenv("HOLDFAST_S3_PORT");
	setenv("HOLDFAST_S3_PROT", "1", 1);
	cr_assert_eq(config_load(&c, NULL, &e), ERR_CONFIG);
	cr_assert_str_eq(e.text, "environment: HOLDFAST_S3_PROT: no such key");
	unsetenv("HOLDFAST_S3_PROT");
	setenv("HOLDFAST_FDS", "1", 1);
	setenv("HOLDFAST_GENERATION", "1", 1);
	setenv("HOLDFAST_INSTANCE", "1", 1);
	setenv("HOLDFAST_WHATEVER", "1", 1);
	cr_assert_eq(config_load(&c, NULL, &e), 0, "%s", e.text);
	config_release(&c);
}

Test(config, services_are_switched_off)
{
	enum config_source source = CONFIG_DEFAULT;

	cr_assert_eq(load("[service-s3]\nenabled = no\n[service-admin]\nenabled = off\n"), 0, "%s",
	    e.text);
	cr_assert(!config_enabled(&c, "s3", &source));
	cr_assert_eq(source, CONFIG_FILE);
	cr_assert(config_enabled(&c, "store", NULL));
	config_release(&c);

	setenv("HOLDFAST_S3_ENABLED", "true", 1);
	setenv("HOLDFAST_STORE_ENABLED", "0", 1);
	cr_assert_eq(config_load(&c, path, &e), 0, "%s", e.text);
	cr_assert(config_enabled(&c, "s3", &source));
	cr_assert_eq(source, CONFIG_ENV);
	cr_assert(!config_enabled(&c, "store", &source));
	cr_assert(!config_enabled(&c, "admin", &source));
	cr_assert_eq(source, CONFIG_FILE);
	config_release(&c);

	setenv("HOLDFAST_STORE_ENABLED", "perhaps", 1);
	cr_assert_eq(config_load(&c, path, &e), ERR_CONFIG);
	cr_assert_not_null(strstr(e.text, "HOLDFAST_STORE_ENABLED"));
	unsetenv("HOLDFAST_STORE_ENABLED");
	refused("[service-s5]\nenabled = no\n", 2, "unknown service");
	refused("[service-s3]\nrunning = no\n", 2, "unknown key");
	refused("[service-s3]\nenabled = maybe\n", 2, "found \"maybe\"");
	refused("[service-s3]\nenabled = no\nenabled = no\n", 3, "set twice");
}

Test(config, setting_one_key)
{
	config_init(&c);
	cr_assert_eq(config_set(&c, "s3", "store_wait", "5s", CONFIG_ADMIN, &e), 0);
	cr_assert_eq(c.s3_store_wait, 5000);
	cr_assert_eq(c.source[CONFIG_KEY_s3_store_wait], CONFIG_ADMIN);
	cr_assert_eq(config_set(&c, "s3", "store_wait", "99h", CONFIG_ADMIN, &e), ERR_CONFIG);
	cr_assert_eq(c.s3_store_wait, 5000);
	cr_assert_eq(config_set(&c, "s3", "store_wait", "6s", CONFIG_ENV, &e), 0);
	cr_assert_eq(config_set(&c, "s3", "store_wait", "7s", CONFIG_ADMIN, &e), 0);
	cr_assert_eq(c.s3_store_wait, 6000, "the environment's value stays");
	cr_assert_eq(config_set(&c, "store", "drives", "/x", CONFIG_ADMIN, &e), ERR_CONFIG);
	cr_assert_eq(config_set(&c, "s3", "nothing", "1", CONFIG_ENV, &e), ERR_CONFIG);
	config_release(&c);
}

Test(config, canonical_text)
{
	int i;

	config_init(&c);
	for (i = 0; i < CONFIG_KEY_COUNT; i++) {
		const struct config_row *row = config_row((enum config_key)i);
		char *text = strdup(formatted((enum config_key)i));

		cr_assert_eq(config_set(&c, row->section, row->name, text, CONFIG_ENV, &e), 0, "%s",
		    e.text);
		cr_assert_str_eq(formatted((enum config_key)i), text);
		free(text);
	}
	cr_assert_str_eq(formatted(CONFIG_KEY_s3_body_timeout), "1m");
	cr_assert_str_eq(formatted(CONFIG_KEY_store_segment_bytes), "256MiB");
	config_set(&c, "s3", "store_wait", "90s", CONFIG_ENV, NULL);
	cr_assert_str_eq(formatted(CONFIG_KEY_s3_store_wait), "90s");
	config_set(&c, "s3", "store_wait", "60000ms", CONFIG_ENV, NULL);
	cr_assert_str_eq(formatted(CONFIG_KEY_s3_store_wait), "1m");
	config_set(&c, "s3", "store_wait", "0", CONFIG_ENV, NULL);
	cr_assert_str_eq(formatted(CONFIG_KEY_s3_store_wait), "0");
	config_set(&c, "store", "segment_bytes", "4194305", CONFIG_ENV, NULL);
	cr_assert_str_eq(formatted(CONFIG_KEY_store_segment_bytes), "4194305");
	cr_assert_str_eq(formatted(CONFIG_KEY_auth_root_password), "");
	config_set(&c, "auth", "root_password", "hunter22", CONFIG_ENV, NULL);
	cr_assert_str_eq(formatted(CONFIG_KEY_auth_root_password), "(secret)");
	config_release(&c);
}

Test(config, paths_in_state_dir)
{
	char out[4096];

	cr_assert_eq(load("[supervisor]\nstate_dir = /s\n[auth]\ncredentials_file = /c\n"), 0);
	config_index_dir(&c, out);
	cr_assert_str_eq(out, "/s/index");
	config_credentials_file(&c, out);
	cr_assert_str_eq(out, "/c");
	config_scrape_token_file(&c, out);
	cr_assert_str_eq(out, "/s/scrape.token");
	config_release(&c);
}

/* The sample with every key uncommented loads, and changes nothing. */
Test(config, the_sample_is_a_valid_file)
{
	struct buf sample = BUF_INIT, text = BUF_INIT;
	char *line, *rest;

	config_print_sample(&sample);
	for (rest = buf_string(&sample); (line = strsep(&rest, "\n")) != NULL;)
		buf_printf(&text, "%s\n", line[0] == '#' && line[1] != ' ' ? line + 1 : line);
	cr_assert_eq(load(buf_string(&text)), 0, "%s", e.text);
	cr_assert_eq(c.source[CONFIG_KEY_s3_port], CONFIG_FILE);
	cr_assert_eq(c.s3_port, 9000);
	cr_assert(config_enabled(&c, "s3", NULL));
	config_release(&c);
	cr_assert_eq(load(buf_string(&sample)), 0, "%s", e.text);
	cr_assert_eq(c.source[CONFIG_KEY_s3_port], CONFIG_DEFAULT);
	config_release(&c);
	buf_release(&sample);
	buf_release(&text);
}

Test(config, the_manual_names_every_key)
{
	struct buf man = BUF_INIT;
	int i;

	config_print_man(&man);
	for (i = 0; i < CONFIG_KEY_COUNT; i++) {
		char item[100];

		snprintf(item, sizeof(item), ".It Ic %s\n", config_row((enum config_key)i)->name);
		cr_assert_not_null(strstr(buf_string(&man), item), "%s", item);
	}
	buf_release(&man);
}

Test(config, sources_and_services_have_names)
{
	cr_assert_str_eq(config_source_name(CONFIG_ADMIN), "config");
	cr_assert_str_eq(config_source_name(CONFIG_ENV), "env");
	cr_assert_eq(config_service_index("store"), 0);
	cr_assert_eq(config_service_index("nope"), -1);
}
