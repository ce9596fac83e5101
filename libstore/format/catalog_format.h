/*
 * catalog_format - bytes of the two small files that every drive carries: `drive` and `catalog`.
 * Written down in holdfast-format(5); numbers are little-endian, checksums crc32c.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef HF_STORE_CATALOG_FORMAT_H
#define HF_STORE_CATALOG_FORMAT_H

/* The drive file: one page with a DriveFile in it. */
#define DRIVE_MAGIC		"HFDRIVE\n"
#define DRIVE_VERSION		1u
#define DRIVE_FILE_BYTES	4096u
#define DRIVE_BODY_AT		24u
enum { DRIVE_AT_VERSION = 8, DRIVE_AT_BYTES = 12, DRIVE_AT_CRC = 16 };

/* The catalog: frames, each on a page of its own, of one CatalogChange. The first is a snapshot. */
#define CATALOG_MAGIC		0x31434648u	/* "HFC1" */
#define CATALOG_VERSION		3u		/* the newest that we know */
/* A frame in which a drive takes over from another; one that names sets; and any other, which
 * programs from before there were sets know. */
#define CATALOG_VERSION_FORMER	3u
#define CATALOG_VERSION_SETS	2u
#define CATALOG_VERSION_PLAIN	1u
#define CATALOG_ALIGN		4096u
#define CATALOG_HEADER_BYTES	32u
#define CATALOG_BODY_BYTES_MAX	(64u * 1024 * 1024)
enum { CATALOG_AT_BYTES = 4, CATALOG_AT_EPOCH = 8, CATALOG_AT_VERSION = 16, CATALOG_AT_CRC = 28 };

/* Past this many bytes of changes behind its snapshot a catalog file is written anew. */
#define CATALOG_CHANGES_BYTES_MAX	(1024u * 1024)
/* Allocated behind the last frame of a new file: for all changes until then, and some more. */
#define CATALOG_ROOM_BYTES		(CATALOG_CHANGES_BYTES_MAX + 256u * 1024)
/* With less than that a drive that has no space takes no more changes: a start needs some. */
#define CATALOG_ROOM_BYTES_LEAST	(128u * 1024)

#endif
