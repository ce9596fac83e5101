/*
 * bare - see bare.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "tests/bench/bare.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MIRRORS_MAX	8
#define CHUNK		(1u << 20)

struct bare_thread {
	struct bare	*bare;
	pthread_t	 thread;
	int		 fd;
};

struct bare {
	struct bare_thread threads[MIRRORS_MAX];
	unsigned	 mirrors;
	pthread_barrier_t begin, end;
	uint8_t		*image;
	size_t		 bytes;
	uint64_t	 at, file_bytes;
	bool		 stop;
};

static void
fail(const char *what)
{
	perror(what);
	exit(1);
}

static void *
bare_main(void *context)
{
	struct bare_thread *t = context;
	struct bare *b = t->bare;

	for (;;) {
		pthread_barrier_wait(&b->begin);
		if (b->stop)
			return (NULL);
		if (pwrite(t->fd, b->image, b->bytes, (off_t)b->at) != (ssize_t)b->bytes ||
		    fdatasync(t->fd) < 0)
			fail("bare write");
		pthread_barrier_wait(&b->end);
	}
}

static int
file_make(const struct bare *b, const char *directory, unsigned i, bool prewritten)
{
	char path[4096];
	uint64_t at;
	int fd;

	snprintf(path, sizeof(path), "%s/bare%u", directory, i);
	fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0 || unlink(path) < 0 || fallocate(fd, 0, 0, (off_t)b->file_bytes) < 0)
		fail(path);
	for (at = 0; prewritten && at < b->file_bytes; at += CHUNK)
		if (pwrite(fd, b->image, CHUNK, (off_t)at) != (ssize_t)CHUNK)
			fail(path);
	if (fsync(fd) < 0)
		fail(path);
	return (fd);
}

struct bare *
bare_open(const char *directory, unsigned mirrors, uint64_t file_bytes, bool prewritten)
{
	struct bare *b = calloc(1, sizeof(*b));
	unsigned i;

	if (b == NULL || mirrors > MIRRORS_MAX || (b->image = aligned_alloc(4096, CHUNK)) == NULL)
		fail("bare");
	b->mirrors = mirrors;
	b->file_bytes = file_bytes;
	memset(b->image, 0, CHUNK);
	for (i = 0; i < mirrors; i++)
		b->threads[i] = (struct bare_thread){ .bare = b,
			.fd = file_make(b, directory, i, prewritten) };
	memset(b->image, 'b', CHUNK);
	pthread_barrier_init(&b->begin, NULL, mirrors + 1);
	pthread_barrier_init(&b->end, NULL, mirrors + 1);
	for (i = 0; i < mirrors; i++)
		if (pthread_create(&b->threads[i].thread, NULL, bare_main, &b->threads[i]) != 0)
			fail("thread");
	return (b);
}

void
bare_write(struct bare *b, size_t bytes, bool again)
{
	if (b->at + bytes > b->file_bytes) {
		if (!again) {
			fprintf(stderr, "bare: its files are full: fewer rounds\n");
			exit(1);
		}
		b->at = 0;
	}
	b->bytes = bytes;
	pthread_barrier_wait(&b->begin);
	pthread_barrier_wait(&b->end);
	b->at += bytes;
}

void
bare_close(struct bare **bp)
{
	struct bare *b = *bp;
	unsigned i;

	*bp = NULL;
	b->stop = true;
	pthread_barrier_wait(&b->begin);
	for (i = 0; i < b->mirrors; i++) {
		pthread_join(b->threads[i].thread, NULL);
		close(b->threads[i].fd);
	}
	free(b->image);
	free(b);
}
