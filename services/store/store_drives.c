/*
 * store_drives - what happens to drives while the store runs: the mount table, probes, and telling
 * everybody.
 *
 * The kernel says when the mount table changes (EPOLLPRI on /proc/self/mountinfo; libevent has no
 * such event, so an epoll of our own stands between). Otherwise drives are looked at when a client
 * reports an error on one and, while there is traffic, every few seconds. An idle store looks at
 * nothing.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "libbase/clock.h"
#include "libbase/metrics.h"
#include "libbase/pool.h"
#include "services/store/store.h"

#define PROBE_MS	5000

#define RETURN_AGAIN_MS	60000	/* a drive that failed is not taken back more often by itself */
/* While a drive is there and cannot be written: whether it can be, and how often it is taken
 * back. */
#define CLOSED_LOOK_MS	2000
#define CLOSED_AGAIN_MS	10000

#define RUN_BYTES_ASKED	(UINT64_C(64) << 20)	/* of a volume, by a client that stores much */

struct probe_job {
	struct store	*store;
	uint32_t	 suspects;
	uint32_t	 away;		/* look whether they are there again */
	uint32_t	 tried, back;	/* to take them back; and they are */
	bool		 enough;	/* a set that was starved has room again */
	uint32_t	 missed;	/* at a read-only start: look for them */
	uint32_t	 found;		/* of them */
};

/* --- probes ----------------------------------------------------------------------------------- */

/* Reads the drive file past the page cache: does the device still answer? */
static void
suspect_check(struct drive_set *s, unsigned slot)
{
	struct disk *d = drive_set_disk(s);
	void *sector = NULL;
	char path[4096];
	struct err e = ERR_INIT;
	int handle;
	ssize_t n = -1;

	drive_path(s, slot, "", "drive", path);
	assert(posix_memalign(&sector, 4096, 4096) == 0);
	handle = d->ops->open(d, path, O_RDONLY | O_DIRECT, &e);
	if (handle < 0)		/* a file system without O_DIRECT */
		handle = d->ops->open(d, path, O_RDONLY, &e);
	if (handle >= 0) {
		n = d->ops->pread(d, handle, sector, 4096, 0, &e);
		d->ops->close(d, handle);
	}
	free(sector);
	if (n <= 0)
		drive_fail(s, slot, n < 0 ? e.text : "its drive file is empty", NULL);
}

/* Is there now what may be a drive, where none was at the start? The next start looks closely. */
static bool
drive_found(struct drive_set *s, unsigned slot)
{
	struct disk *d = drive_set_disk(s);
	char path[4096];
	int handle;

	drive_path(s, slot, "", "drive", path);
	handle = d->ops->open(d, path, O_RDONLY, NULL);
	if (handle >= 0)
		d->ops->close(d, handle);
	return (handle >= 0);
}

static uint32_t
drives_that(struct drive_set *s, bool (*are)(const struct drive *d))
{
	uint32_t mask = 0;

	for (unsigned slot = 0; slot < drive_count(s); slot++) {
		struct drive d;

		drive_get(s, slot, &d);
		mask |= are(&d) ? 1u << slot : 0;
	}
	return (mask);
}

/* There, in some way, and cannot be written. */
static bool
are_closed(const struct drive *d)
{
	return (d->closed != DRIVE_WRITABLE);
}

static bool
are_moving(const struct drive *d)
{
	return (d->former != NULL);
}

static void
probe_work(void *context)
{
	struct probe_job *j = context;
	struct drive_set *s = j->store->drives;
	uint32_t shut;

	drive_set_probe(s);
	shut = drives_that(s, are_closed) & ~drive_set_reopened(s, &j->enough);
	for (unsigned slot = 0; slot < drive_count(s); slot++)
		if ((j->suspects & drive_present_mask(s)) >> slot & 1)
			suspect_check(s, slot);
	j->tried = j->away & ~shut;
	for (unsigned slot = 0; slot < drive_count(s); slot++)
		if (j->tried >> slot & 1 && drive_set_return(s, slot, NULL) == 0)
			j->back |= 1u << slot;
	for (unsigned slot = 0; slot < drive_count(s); slot++)
		if (j->missed >> slot & 1 && drive_found(s, slot))
			j->found |= 1u << slot;
	drive_set_refresh_space(s);
}

/* An idle store looks at nothing, but for what people wait for that gave it room. */
static void
closed_watch(struct store *t)
{
	struct timeval delay = { CLOSED_LOOK_MS / 1000, CLOSED_LOOK_MS % 1000 * 1000 };

	if (drives_that(t->drives, are_closed) != 0 && t->phase == STORE_SERVING &&
	    !event_pending(t->closed, EV_TIMEOUT, NULL))
		event_add(t->closed, &delay);
}

static void
on_closed_due(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	drives_probe(arg);
}

static void
probe_done(void *context)
{
	struct probe_job *j = context;
	struct store *t = j->store;

	for (unsigned slot = 0; slot < DRIVES_MAX; slot++)
		if (j->tried >> slot & 1)
			t->returned_ms[slot] = clock_mono_ms();
	if (j->back != 0) {
		log_info("drives are there again, mask %#x", j->back);
		log_drives_changed(t->log);
		t->seen.known = false;
	}
	if (j->enough && t->phase == STORE_SERVING) {
		log_info("there is room for the catalogs again: the store starts anew, to write");
		store_drain(t->service);
	}
	if (j->found != 0 && t->phase == STORE_SERVING) {
		log_info("drives are there that were not, mask %#x: the store starts anew",
		    j->found);
		store_drain(t->service);
	}
	free(j);
	t->probing = false;
	t->probed_ms = clock_mono_ms();
	closed_watch(t);
	if (t->probe_again && t->phase == STORE_SERVING)
		drives_probe(t);
	store_turn_soon(t);
}

static void
on_mounted_due(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	drives_probe(arg);
}

/* A mount that came too soon after a try is no reason to forget it. */
static void
mounted_watch(struct store *t, uint64_t wait_ms)
{
	struct timeval delay = { (time_t)(wait_ms / 1000), (suseconds_t)(wait_ms % 1000 * 1000) };

	if (!event_pending(t->mounted, EV_TIMEOUT, NULL))
		event_add(t->mounted, &delay);
}

/* After the mount table changed: drives that are away, each once in a while, and once for all
 * changes until then. Those that could not be written: always. */
static uint32_t
drives_away(struct store *t)
{
	uint32_t present = drive_present_mask(t->drives);
	uint32_t closed = drives_that(t->drives, are_closed);
	uint32_t away = 0, looked;
	uint64_t now = clock_mono_ms();

	if (drive_set_read_only(t->drives))
		return (0);
	t->mounted_slots = (t->probe_mounts ? UINT32_MAX : t->mounted_slots) & ~present;
	looked = closed | t->mounted_slots;
	for (unsigned slot = 0; slot < drive_count(t->drives); slot++) {
		uint64_t pause = closed >> slot & 1 ? CLOSED_AGAIN_MS : RETURN_AGAIN_MS;

		if (present >> slot & 1 || !(looked >> slot & 1))
			continue;
		if (t->returned_ms[slot] == 0 || now - t->returned_ms[slot] >= pause)
			away |= 1u << slot;
		else if (t->mounted_slots >> slot & 1)
			mounted_watch(t, t->returned_ms[slot] + pause - now);
	}
	t->mounted_slots &= ~away;
	t->probe_mounts = false;
	return (away);
}

/* After the mount table changed, where too few drives were there at the start to write. */
static uint32_t
drives_missed(struct store *t)
{
	if (!drive_set_read_only(t->drives) || !t->probe_mounts)
		return (0);
	t->probe_mounts = false;
	return (~drive_present_mask(t->drives) & ((UINT64_C(1) << drive_count(t->drives)) - 1));
}

void
drives_probe(struct store *t)
{
	struct probe_job *j;

	if (t->probing) {
		t->probe_again = true;
		return;
	}
	j = calloc(1, sizeof(*j));
	assert(j != NULL);
	j->store = t;
	j->suspects = t->suspects;
	j->away = drives_away(t);
	j->missed = drives_missed(t);
	if (pool_submit(service_pool(t->service), probe_work, probe_done, j) < 0) {
		t->mounted_slots |= j->away;
		t->probe_mounts |= j->missed != 0;
		free(j);	/* the pool is full; the next turn with traffic tries again */
		return;
	}
	t->suspects = 0;
	t->probing = true;
	t->probe_again = false;
}

void
drives_damage(void *context, struct session *s, const Hf__DamageReport *r)
{
	struct store *t = context;

	metric_add(METRIC_store_damage_reports_total, 1);
	log_warn("%s reports %s in slot %u, %s %016llx at %llu: %s", s->name, err_name(r->code),
	    r->slot, r->volume != 0 ? "volume" : "segment",
	    (unsigned long long)(r->volume != 0 ? r->volume : r->segment),
	    (unsigned long long)r->offset, r->text);
	if (r->slot < drive_count(t->drives) && (r->code == ERR_IO || r->code == ERR_TIMEOUT))
		t->suspects |= 1u << r->slot;
	drives_probe(t);
}

/* --- telling ---------------------------------------------------------------------------------- */

/* Less on a drive is perhaps too little for the log's next segment, or for a body. */
static uint64_t
room_wanted(const struct drive_set *s)
{
	uint64_t run = drive_set_volume_bytes(s), segment = drive_set_segment_bytes(s);

	run = run < RUN_BYTES_ASKED ? run : RUN_BYTES_ASKED;
	return (segment > run ? segment : run);
}

static void
full_text(struct store *t, struct buf *text)
{
	uint64_t wanted = room_wanted(t->drives);

	buf_printf(text, "%sputs may be refused, (almost) full up to the reserve:",
	    text->bytes > 0 ? "; " : "");
	for (unsigned slot = 0, named = 0; slot < drive_count(t->drives); slot++) {
		struct drive d;

		if ((t->seen.online >> slot & 1) == 0 || drive_has_space(t->drives, slot, wanted))
			continue;
		drive_get(t->drives, slot, &d);
		buf_printf(text, "%s slot %u (%s, %llu MiB free, %llu kept)",
		    named++ > 0 ? "," : "", slot, d.path,
		    (unsigned long long)(d.space.free_bytes >> 20),
		    (unsigned long long)(drive_reserve_bytes(t->drives, slot) >> 20));
	}
}

static void
slow_text(struct store *t, struct buf *text)
{
	for (unsigned slot = 0; slot < drive_count(t->drives); slot++) {
		struct drive d;
		char why[200];

		if (!(t->slow >> slot & 1))
			continue;
		drive_get(t->drives, slot, &d);
		drive_slow_why(t->drives, slot, why, sizeof(why));
		buf_printf(text, "%sslot %u (%s) %s", text->bytes > 0 ? "; " : "", slot, d.path,
		    why);
	}
}

static void
degraded_text(struct store *t, char *out, size_t out_bytes)
{
	unsigned count = drive_count(t->drives);
	unsigned away = count - (unsigned)__builtin_popcount(t->seen.online);
	struct buf text = BUF_INIT;
	struct err why = ERR_INIT;

	buf_printf(&text, "%s", t->room.why);
	slow_text(t, &text);
	if (drive_set_writable(t->drives, &why) == ERR_FULL)
		buf_printf(&text, "%sstorage full: %s", text.bytes > 0 ? "; " : "", why.text);
	else if (t->seen.read_only)
		buf_printf(&text, "%sread-only: too few drives are there to know what is newest; "
		    "mount the others, or restart the store when they are there",
		    text.bytes > 0 ? "; " : "");
	if (away > 0)
		buf_printf(&text, "%s%u of %u drives not online: ", text.bytes > 0 ? "; " : "",
		    away, count);
	for (unsigned slot = 0, named = 0; slot < count; slot++) {
		struct drive d;

		drive_get(t->drives, slot, &d);
		if (t->seen.online >> slot & 1)
			continue;
		buf_printf(&text, "%sslot %u (%s): %s", named++ > 0 ? "; " : "", slot, d.path,
		    d.note[0] != '\0' ? d.note : "missing");
	}
	if (t->seen.full && why.code != ERR_FULL)
		full_text(t, &text);
	snprintf(out, out_bytes, "%s", buf_string(&text));
	buf_release(&text);
}

void
drives_tell(struct store *t)
{
	Hf__StoreNotice notice = HF__STORE_NOTICE__INIT;
	char text[sizeof(t->degraded)];
	Hf__Layout *layout;

	degraded_text(t, text, sizeof(text));
	if (strcmp(text, t->degraded) != 0) {
		memcpy(t->degraded, text, sizeof(text));
		service_set_degraded(t->service, text[0] != '\0' ? t->degraded : NULL);
	}
	state_layout(t->state, &layout);
	notice.layout = layout;
	clients_notify(t, &notice);
	hf__layout__free_unpacked(layout, NULL);
}

static void
drives_metrics(struct store *t)
{
	uint64_t space = 0, free_bytes = 0;

	for (unsigned slot = 0; slot < drive_count(t->drives); slot++) {
		struct drive d;

		drive_get(t->drives, slot, &d);
		if (t->seen.online >> slot & 1) {
			space += d.space.total_bytes;
			free_bytes += d.space.free_bytes;
		}
	}
	metric_set(METRIC_store_drives_online, (uint64_t)__builtin_popcount(t->seen.online));
	metric_set(METRIC_store_drives_slow, (uint64_t)__builtin_popcount(t->slow));
	metric_set(METRIC_store_drives_total, drive_count(t->drives));
	metric_set(METRIC_store_space_bytes, space);
	metric_set(METRIC_store_free_bytes, free_bytes);
}

/* Nothing of it changes without an epoch. */
static uint64_t
drives_lacking(struct store *t)
{
	uint64_t epoch = drive_set_epoch(t->drives), sum = 0;

	if (epoch == t->lacking_epoch)
		return (t->seen.lacking);
	t->lacking_epoch = epoch;
	for (unsigned slot = 0; slot < drive_count(t->drives); slot++) {
		struct catalog_lacking lacks;

		catalog_lacking_find(t->drives, slot, 0, 0, &lacks);
		sum = sum * UINT64_C(0x9e3779b97f4a7c15) + lacks.last;
		catalog_lacking_release(&lacks);
	}
	return (sum);
}

void
drives_turn(struct store *t)
{
	struct store_drives_seen now;

	slow_turn(t);
	now = (struct store_drives_seen){
		.online = drive_online_mask(t->drives), .present = drive_present_mask(t->drives),
		.read_only = drive_set_read_only(t->drives),
		.full = !drive_sets_have_room(t->drives, room_wanted(t->drives)), .known = true,
		.closed = drives_that(t->drives, are_closed), .slow = t->slow,
		.moving = drives_that(t->drives, are_moving), .lacking = drives_lacking(t),
	};

	if (now.online != t->seen.online || now.present != t->seen.present || !t->seen.known ||
	    now.read_only != t->seen.read_only || now.full != t->seen.full ||
	    now.closed != t->seen.closed || now.slow != t->seen.slow ||
	    now.moving != t->seen.moving || now.lacking != t->seen.lacking) {
		t->seen = now;
		closed_watch(t);
		drives_tell(t);
		drives_metrics(t);
	}
	if (!t->probing && clock_mono_ms() - t->probed_ms >= PROBE_MS)
		drives_probe(t);
}

/* --- the mount table -------------------------------------------------------------------------- */

static void
on_mounts(evutil_socket_t fd, short what, void *arg)
{
	struct store *t = arg;
	struct epoll_event event;

	(void)what;
	while (epoll_wait((int)fd, &event, 1, 0) > 0) {
		char bytes[4096];

		/* The change is noted as seen when the file is read again. */
		if (lseek(t->mounts_fd, 0, SEEK_SET) < 0 || read(t->mounts_fd, bytes,
		    sizeof(bytes)) <= 0)
			break;
	}
	t->probe_mounts = true;
	drives_probe(t);
}

int
drives_watch(struct store *t, struct err *e)
{
	struct epoll_event event = { .events = EPOLLPRI | EPOLLET };
	char bytes[4096];

	t->mounts_fd = open("/proc/self/mountinfo", O_RDONLY | O_CLOEXEC);
	t->mounts_epoll = epoll_create1(EPOLL_CLOEXEC);
	if (t->mounts_fd < 0 || t->mounts_epoll < 0 ||
	    epoll_ctl(t->mounts_epoll, EPOLL_CTL_ADD, t->mounts_fd, &event) < 0 ||
	    read(t->mounts_fd, bytes, sizeof(bytes)) < 0)
		return (err_errno(e, errno, "cannot watch /proc/self/mountinfo"));
	t->mounts = event_new(service_base(t->service), t->mounts_epoll, EV_READ | EV_PERSIST,
	    on_mounts, t);
	assert(t->mounts != NULL);
	t->closed = event_new(service_base(t->service), -1, 0, on_closed_due, t);
	t->mounted = event_new(service_base(t->service), -1, 0, on_mounted_due, t);
	assert(t->closed != NULL && t->mounted != NULL);
	event_add(t->mounts, NULL);
	t->probed_ms = clock_mono_ms();
	return (0);
}

void
drives_unwatch(struct store *t)
{
	if (t->mounts != NULL)
		event_free(t->mounts);
	if (t->closed != NULL)
		event_free(t->closed);
	if (t->mounted != NULL)
		event_free(t->mounted);
	t->closed = t->mounted = NULL;
	if (t->mounts_epoll >= 0)
		close(t->mounts_epoll);
	if (t->mounts_fd >= 0)
		close(t->mounts_fd);
	t->mounts = NULL;
	t->mounts_fd = t->mounts_epoll = -1;
}
