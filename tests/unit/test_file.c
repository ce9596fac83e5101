/*
 * test_file - whole files, replacement, directories, and what they say when they fail.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <criterion/criterion.h>
#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "libbase/file.h"

static char directory[] = "/tmp/test_file.XXXXXX";

static void
setup(void)
{
	cr_assert_not_null(mkdtemp(directory));
	cr_assert_eq(chdir(directory), 0);
}

static void
teardown(void)
{
	char command[100];

	snprintf(command, sizeof(command), "rm -rf %s", directory);
	cr_assert_eq(system(command), 0);
}

TestSuite(file, .init = setup, .fini = teardown);

static unsigned
entries(void)
{
	DIR *d = opendir(directory);
	unsigned n = 0;

	while (readdir(d) != NULL)
		n++;
	closedir(d);
	return (n - 2);
}

Test(file, replace_then_read)
{
	struct buf b = BUF_INIT;
	struct err e = ERR_INIT;
	struct stat st;

	cr_assert_eq(file_replace("a", "one", 3, 0600, &e), 0, "%s", e.text);
	cr_assert_eq(file_replace("a", "two!", 4, 0640, &e), 0, "%s", e.text);
	cr_assert_eq(file_read("a", 4, &b, &e), 0, "%s", e.text);
	cr_assert_str_eq(buf_string(&b), "two!");
	cr_assert_eq(stat("a", &st), 0);
	cr_assert_eq(st.st_mode & 0777, 0640);
	cr_assert_eq(entries(), 1, "no temporary file is left");
	buf_release(&b);
}

Test(file, read_appends_and_is_bounded)
{
	struct buf b = BUF_INIT;
	struct err e = ERR_INIT;
	char *big = calloc(1, 300000);

	cr_assert_eq(file_replace("big", big, 300000, 0600, &e), 0);
	buf_append_string(&b, "x");
	cr_assert_eq(file_read("big", 300000, &b, &e), 0);
	cr_assert_eq(b.bytes, 300001);
	cr_assert_eq(b.data[0], 'x');
	cr_assert_eq(file_read("big", 299999, &b, &e), ERR_TOO_LARGE);
	cr_assert_str_eq(e.text, "big is larger than 299999 bytes");
	cr_assert_eq(file_read("none", 10, &b, &e), ERR_NOT_FOUND);
	cr_assert_eq(file_read(".", 10, &b, &e), ERR_IO);
	buf_release(&b);
	free(big);
}

Test(file, a_failed_write_leaves_the_old_content)
{
	struct rlimit limit = { 10, 10 };
	struct buf b = BUF_INIT;
	struct err e = ERR_INIT;

	cr_assert_eq(file_replace("a", "old", 3, 0600, &e), 0);
	signal(SIGXFSZ, SIG_IGN);
	cr_assert_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
	cr_assert_eq(file_replace("a", "a new and longer content", 24, 0600, &e), ERR_IO);
	cr_assert_neq(strstr(e.text, "cannot write"), NULL);
	cr_assert_eq(file_read("a", 100, &b, &e), 0);
	cr_assert_str_eq(buf_string(&b), "old");
	cr_assert_eq(entries(), 1);
	buf_release(&b);
}

Test(file, replace_where_it_cannot)
{
	struct err e = ERR_INIT;
	char *long_path = malloc(PATH_MAX + 10);

	cr_assert_eq(file_replace("none/a", "x", 1, 0600, &e), ERR_NOT_FOUND);
	cr_assert_eq(mkdir("d", 0700), 0);
	cr_assert_lt(file_replace("d", "x", 1, 0600, &e), 0);
	memset(long_path, 'p', PATH_MAX);
	long_path[PATH_MAX] = '\0';
	cr_assert_eq(file_replace(long_path, "x", 1, 0600, &e), ERR_TOO_LARGE);
	free(long_path);
	cr_assert_eq(entries(), 1);
}

Test(file, directories)
{
	struct err e = ERR_INIT;
	struct stat st;

	cr_assert_eq(directory_make("x/y//z/", 0700, &e), 0, "%s", e.text);
	cr_assert_eq(directory_make("x/y/z", 0700, &e), 0);
	cr_assert_eq(directory_make("/", 0700, &e), 0);
	cr_assert_eq(stat("x/y/z", &st), 0);
	cr_assert_eq(file_replace("f", "", 0, 0600, &e), 0);
	cr_assert_eq(directory_make("f", 0700, &e), ERR_IO);
	cr_assert_eq(directory_make("f/g", 0700, &e), ERR_IO);
	cr_assert_eq(directory_make("", 0700, &e), ERR_INVALID);
	cr_assert_eq(directory_sync("x", &e), 0);
	cr_assert_eq(directory_sync("nope", &e), ERR_NOT_FOUND);
	cr_assert_eq(directory_sync("f", &e), ERR_IO);
}

Test(file, joining)
{
	struct err e = ERR_INIT;
	char out[8];

	cr_assert_eq(path_join(out, sizeof(out), "a", "b", &e), 0);
	cr_assert_str_eq(out, "a/b");
	cr_assert_eq(path_join(out, sizeof(out), "/", "b", &e), 0);
	cr_assert_str_eq(out, "/b");
	cr_assert_eq(path_join(out, sizeof(out), "abc", "def", &e), 0);
	cr_assert_eq(path_join(out, sizeof(out), "abc", "defg", &e), ERR_TOO_LARGE);
}

Test(file, descriptor_flags)
{
	int fd = open("f", O_RDWR | O_CREAT, 0600);

	cr_assert_eq(fd_set_cloexec(fd, 1), 0);
	cr_assert(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	cr_assert_eq(fd_set_cloexec(fd, 0), 0);
	cr_assert(!(fcntl(fd, F_GETFD) & FD_CLOEXEC));
	cr_assert_eq(fd_set_nonblock(fd, 1), 0);
	cr_assert(fcntl(fd, F_GETFL) & O_NONBLOCK);
	cr_assert_lt(fd_set_cloexec(-1, 1), 0);
	close(fd);
}
