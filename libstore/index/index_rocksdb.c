/*
 * index_rocksdb - an index as a database of RocksDB: opened, copied, closed, removed.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "libstore/index/index_rocksdb_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "libbase/file.h"
#include "libstore/index/index_keys.h"

#define CHECKPOINT_CACHE	(1u << 20)

int
index_error(struct err *e, const char *what, const char *directory, char *message)
{
	int code = strstr(message, "orruption") != NULL || strstr(message, "checksum") != NULL ?
	    ERR_CORRUPT : strstr(message, "No space left") != NULL ||
	    strstr(message, "quota exceeded") != NULL ? ERR_FULL : ERR_IO;

	err_set(e, code, "%s index %s: %s", what, directory, message);
	rocksdb_free(message);
	return (code);
}

static void
index_free(struct index *x)
{
	ahead_free(x->ahead);
	filter_free(x->filter);
	if (x->family != NULL)
		rocksdb_column_family_handle_destroy(x->family);
	if (x->db != NULL)
		rocksdb_close(x->db);
	rocksdb_writebatch_destroy(x->batch);
	index_options_free(x);
	gaps_release(&x->gaps);
	gaps_release(&x->kept);
	index_layer_free(x->gap_rows);
	for (unsigned i = 0; i < PROBES_LATER; i++)
		buf_release(&x->later[i]);
	pthread_mutex_destroy(&x->gaps_lock);
	pthread_mutex_destroy(&x->flush_lock);
	pthread_mutex_destroy(&x->write_lock);
	free(x->directory);
	free(x);
}

/* Reads a u64 of the meta table; *out is 0 if it is not there. */
static int
index_meta_get(struct index *x, const char *name, uint64_t *out, struct err *e)
{
	struct index_reader r = { .index = x };
	struct buf key = BUF_INIT, value = BUF_INIT;
	int rc;

	*out = 0;
	key_meta(&key, name);
	rc = index_get(&r, buf_slice(&key), &value, e);
	if (rc == ERR_NOT_FOUND)
		rc = 0;
	else if (rc == 0 && value.bytes != 8)
		rc = err_set(e, ERR_CORRUPT, "index %s: meta value %s has %zu bytes, not 8",
		    x->directory, name, value.bytes);
	else if (rc == 0)
		*out = get_u64(value.data);
	buf_release(&key);
	buf_release(&value);
	return (rc);
}

static int
index_check_format(struct index *x, struct err *e)
{
	uint64_t version;
	int rc;

	rc = index_meta_get(x, "format", &version, e);
	if (rc == 0)
		rc = index_meta_get(x, "applied", &x->applied, e);
	if (rc < 0)
		return (rc);
	if (version == 0 && x->applied != 0)
		return (err_set(e, ERR_CORRUPT, "index %s has no format version", x->directory));
	if (version != 0 && version != INDEX_FORMAT_VERSION)
		return (err_set(e, ERR_VERSION, "index %s has format %llu; this program knows %d",
		    x->directory, (unsigned long long)version, INDEX_FORMAT_VERSION));
	return (0);
}

static struct index *
index_new(const char *directory, uint64_t cache_bytes)
{
	struct index *x = calloc(1, sizeof(*x));

	if (x == NULL || (x->directory = strdup(directory)) == NULL)
		abort();
	index_options_new(x, cache_bytes);
	x->batch = rocksdb_writebatch_create();
	pthread_mutex_init(&x->gaps_lock, NULL);
	pthread_mutex_init(&x->flush_lock, NULL);
	pthread_mutex_init(&x->write_lock, NULL);
	x->gap_rows = index_layer_new();
	x->ahead = ahead_new(database_write, x);
	return (x);
}

/* The database is open, or message says why not. */
static int
index_opened(struct index *x, char *message, struct index **out, struct err *e)
{
	int rc;

	if (message != NULL)
		rc = index_error(e, "cannot open", x->directory, message);
	else
		rc = index_check_format(x, e);
	if (rc == 0)
		rc = gap_rows_load(x, e);
	if (rc < 0) {
		index_free(x);
		return (rc);
	}
	*out = x;
	return (0);
}

int
index_open(const char *directory, uint64_t cache_bytes, struct index **out, struct err *e)
{
	struct index *x;
	char *message = NULL;
	int rc;

	*out = NULL;
	rc = directory_make(directory, 0700, e);
	if (rc < 0)
		return (err_prefix(e, "cannot make the index directory"));
	x = index_new(directory, cache_bytes);
	x->db = rocksdb_open_column_families(x->options, directory, 1,
	    (const char *const[]){ "default" }, (const rocksdb_options_t *const[]){ x->options },
	    &x->family, &message);
	return (index_opened(x, message, out, e));
}

bool
index_there(const char *directory)
{
	char path[4200];

	snprintf(path, sizeof(path), "%.4095s/CURRENT", directory);
	return (access(path, F_OK) == 0);
}

int
index_open_read_only(const char *directory, uint64_t cache_bytes, struct index **out,
    struct err *e)
{
	struct index *x;
	char *message = NULL;

	*out = NULL;
	if (!index_there(directory))
		return (err_set(e, ERR_NOT_FOUND, "there is no index in %s", directory));
	x = index_new(directory, cache_bytes);
	x->read_only = true;
	rocksdb_options_set_create_if_missing(x->options, 0);
	x->db = rocksdb_open_for_read_only_column_families(x->options, directory, 1,
	    (const char *const[]){ "default" }, (const rocksdb_options_t *const[]){ x->options },
	    &x->family, false, &message);
	return (index_opened(x, message, out, e));
}

void
index_close(struct index **x)
{
	struct err e;

	if (*x == NULL)
		return;
	/* A failure costs a replay of the log at the next start, nothing else. */
	if (ahead_drain((*x)->ahead, &e) == 0)
		(void)gap_rows_save(*x, &e);
	(void)index_flush(*x, true, &e);
	index_free(*x);
	*x = NULL;
}

int
index_destroy(const char *directory, struct err *e)
{
	rocksdb_options_t *options = rocksdb_options_create();
	char *message = NULL;
	int rc = 0;

	rocksdb_destroy_db(options, directory, &message);
	if (message != NULL)
		rc = index_error(e, "cannot remove", directory, message);
	rocksdb_options_destroy(options);
	return (rc);
}

uint64_t
index_applied(const struct index *x)
{
	return (x->applied);
}

uint64_t
index_passed(const struct index *x)
{
	return (x->passed);
}

int
index_checkpoint(struct index *x, const char *directory, uint64_t *applied, struct err *e)
{
	rocksdb_checkpoint_t *checkpoint;
	struct index *copy = NULL;
	char *message = NULL;
	int rc;

	rc = ahead_drain(x->ahead, e);
	if (rc < 0)
		return (rc);
	checkpoint = rocksdb_checkpoint_object_create(x->db, &message);
	if (message == NULL) {
		rocksdb_checkpoint_create(checkpoint, directory, 0, &message);
		rocksdb_checkpoint_object_destroy(checkpoint);
	}
	if (message != NULL)
		return (index_error(e, "cannot copy", x->directory, message));
	/* Batches may have been written meanwhile: only the copy knows what it has. */
	rc = index_open_read_only(directory, CHECKPOINT_CACHE, &copy, e);
	if (rc == 0)
		*applied = index_applied(copy);
	index_close(&copy);
	return (rc);
}
