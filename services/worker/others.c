/*
 * others - see others.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "services/worker/others.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#define LOOK_MS		50
#define SEEN_MS		1000
#define SECTOR_BYTES	512u		/* of the counters, whatever the device has */
/* Journals and metadata that our own steps cause are nobody else's. */
#define NOISE_BYTES	32768u
#define NOISE_SHARE	64u

/* Of a text of numbers: those of sectors read and written. */
static bool
sectors_parse(const char *text, uint64_t *bytes)
{
	unsigned long long read, written;

	if (sscanf(text, "%*u %*u %llu %*u %*u %*u %llu", &read, &written) != 2)
		return (false);
	*bytes += (read + written) * SECTOR_BYTES;
	return (true);
}

static bool
own_parse(const char *text, uint64_t *bytes)
{
	const char *read = strstr(text, "\nread_bytes: "), *written = strstr(text,
	    "\nwrite_bytes: ");

	if (read == NULL || written == NULL)
		return (false);
	*bytes = strtoull(read + 13, NULL, 10) + strtoull(written + 14, NULL, 10);
	return (true);
}

static bool
text_read(int fd, char text[1024])
{
	ssize_t n = pread(fd, text, 1023, 0);

	text[n > 0 ? n : 0] = '\0';
	return (n > 0);
}

static bool
look(const struct others *o, uint64_t *device_bytes, uint64_t *own_bytes)
{
	char text[1024];

	*device_bytes = 0;
	for (unsigned i = 0; i < o->device_count; i++)
		if (!text_read(o->devices[i], text) || !sectors_parse(text, device_bytes))
			return (false);
	return (text_read(o->own, text) && own_parse(text, own_bytes));
}

static void
device_add(struct others *o, dev_t device)
{
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "/sys/dev/block/%u:%u/stat", major(device), minor(device));
	fd = o->device_count < OTHERS_DEVICES_MAX ? open(path, O_RDONLY | O_CLOEXEC) : -1;
	if (fd < 0)
		o->unknown = true;
	else
		o->devices[o->device_count++] = fd;
}

void
others_init(struct others *o, const Hf__Layout *layout)
{
	dev_t known[OTHERS_DEVICES_MAX];
	unsigned count = 0, j;
	struct stat st;

	*o = (struct others){ .own = open("/proc/self/io", O_RDONLY | O_CLOEXEC) };
	for (size_t i = 0; i < layout->n_drives; i++) {
		const Hf__DriveLayout *d = layout->drives[i];

		if ((d->state != HF__CATALOG_DRIVE__STATE__ONLINE &&
		    d->state != HF__CATALOG_DRIVE__STATE__RETURNING) || stat(d->path, &st) < 0)
			continue;
		for (j = 0; j < count && known[j] != st.st_dev; j++)
			;
		if (j < count || count == OTHERS_DEVICES_MAX)
			continue;
		known[count++] = st.st_dev;
		device_add(o, st.st_dev);
	}
	o->unknown |= o->own < 0 || !look(o, &o->device_bytes, &o->own_bytes);
}

void
others_release(struct others *o)
{
	for (unsigned i = 0; i < o->device_count; i++)
		close(o->devices[i]);
	if (o->own >= 0)
		close(o->own);
	o->device_count = 0;
	o->own = -1;
}

bool
others_seen(uint64_t device_bytes, uint64_t own_bytes)
{
	return (device_bytes > own_bytes + own_bytes / NOISE_SHARE + NOISE_BYTES);
}

bool
others_busy(struct others *o, uint64_t now_ms)
{
	uint64_t device_bytes, own_bytes;

	if (o->unknown)
		return (true);
	if (now_ms - o->looked_ms >= LOOK_MS) {
		if (!look(o, &device_bytes, &own_bytes))
			o->unknown = true;
		else if (o->looked_ms == 0 || others_seen(device_bytes - o->device_bytes,
		    own_bytes - o->own_bytes))
			o->until_ms = now_ms + (o->looked_ms == 0 ? LOOK_MS : SEEN_MS);
		o->looked_ms = now_ms;
		o->device_bytes = device_bytes;
		o->own_bytes = own_bytes;
	}
	return (o->unknown || o->until_ms > now_ms);
}
