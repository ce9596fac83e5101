/*
 * test_usage - what the tasks of a worker take together and may: memory, CPU, and what goes over a
 * network.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "libbase/clock.h"
#include "services/worker/usage.h"
#include "services/worker/watch.h"
#include "services/worker/wire.h"
#include "tests/unit/disk_memory.h"

#define MIB (UINT64_C(1) << 20)

/* --- what tasks take together ----------------------------------------------------------------- */

static uint64_t fake_memory, fake_cpu_ns;

static uint64_t
memory_fake(void)
{
	return (fake_memory);
}

static uint64_t
cpu_fake(void)
{
	return (fake_cpu_ns);
}

static const struct usage_meter fakes = { memory_fake, cpu_fake };

#define SECOND UINT64_C(1000000000)

/* A process that has 5 MiB without a task, with these limits. */
static void
usage_begin(struct usage *u, struct usage_limits limits)
{
	fake_memory = 5 * MIB;
	fake_cpu_ns = SECOND;
	usage_init(u, &fakes);
	u->limits = limits;
}

Test(usage, memory_is_asked_for)
{
	struct usage_share a, b;
	struct err e = ERR_INIT;
	struct usage u;

	usage_begin(&u, (struct usage_limits){ .memory_bytes = 64 * MIB });
	usage_join(&u, &a);
	usage_join(&u, &b);
	cr_assert(usage_memory(&a, 40 * MIB, &e) == 0);
	cr_assert(usage_memory(&b, 24 * MIB + 1, &e) == ERR_FULL);
	cr_assert(strstr(e.text, "have 40960, and worker.max_memory_mb is 64") != NULL, "%s",
	    e.text);
	cr_assert(usage_memory(&b, 24 * MIB, &e) == 0);
	cr_assert(usage_memory(&a, -8 * (int64_t)MIB, NULL) == 0);
	cr_assert(usage_share_bytes(&a) == 32 * MIB);
	cr_assert(usage_memory(&b, 8 * MIB, &e) == 0, "what one gave back is there for all");
	usage_leave(&a);
	cr_assert(usage_memory(&b, 32 * MIB, &e) == 0, "and what one had that ended");
	usage_leave(&b);
	usage_release(&u);
}

Test(usage, memory_is_measured)
{
	struct usage_share a, b;
	struct err e = ERR_INIT;
	uint64_t rest_ns, now = SECOND;
	struct usage u;

	usage_begin(&u, (struct usage_limits){ .memory_bytes = 64 * MIB });
	usage_join(&u, &a);
	usage_join(&u, &b);
	cr_assert(usage_memory(&a, 20 * MIB, &e) == 0);
	cr_assert(usage_memory(&b, 10 * MIB, &e) == 0);
	fake_memory = 69 * MIB;
	cr_assert(usage_memory(&b, 1, &e) == ERR_FULL, "others have taken it");
	cr_assert(usage_pass(&b, now += SECOND, &rest_ns, &e) == 0, "just so much");
	fake_memory += 4096;
	cr_assert(usage_pass(&b, now += SECOND, &rest_ns, &e) == 0, "the other has taken more");
	cr_assert(usage_pass(&a, now, &rest_ns, &e) == ERR_FULL);
	cr_assert(strstr(e.text, "have 65540 KiB of memory, 20480 of it this one's, and "
	    "worker.max_memory_mb is 64") != NULL, "%s", e.text);
	cr_assert(usage_memory(&a, -20 * (int64_t)MIB, NULL) == 0);
	cr_assert(usage_pass(&b, now += SECOND, &rest_ns, &e) == 0, "it has not gone yet");
	usage_leave(&a);
	fake_memory = 30 * MIB;
	cr_assert(usage_pass(&b, now += SECOND, &rest_ns, &e) == 0, "one is enough");
	usage_leave(&b);
	usage_release(&u);
}

Test(usage, without_limits_nothing_is_refused_or_rests)
{
	struct usage_share a;
	struct err e = ERR_INIT;
	uint64_t rest_ns;
	struct usage u;

	usage_begin(&u, (struct usage_limits){ 0 });
	usage_join(&u, &a);
	cr_assert(usage_memory(&a, INT64_C(1) << 50, &e) == 0);
	fake_memory = UINT64_C(1) << 50;
	fake_cpu_ns += 1000 * SECOND;
	u.network_bytes = UINT64_C(1) << 50;
	cr_assert(usage_pass(&a, SECOND, &rest_ns, &e) == 0 && rest_ns == 0);
	usage_leave(&a);
	usage_release(&u);
}

/* Half of a core: what was used is paid after as long again. */
Test(usage, cpu_is_paid)
{
	struct usage_share a;
	uint64_t rest_ns, now = 100 * SECOND;
	struct usage u;

	usage_begin(&u, (struct usage_limits){ .cpu_percent = 50 });
	usage_join(&u, &a);
	cr_assert(usage_pass(&a, now, &rest_ns, NULL) == 0 && rest_ns == 0);
	fake_cpu_ns += SECOND / 10;
	now += SECOND / 10;		/* a tenth of a second, all of it at work */
	cr_assert(usage_pass(&a, now, &rest_ns, NULL) == 0);
	cr_assert(rest_ns == SECOND / 10, "%llu", (unsigned long long)rest_ns);
	cr_assert(usage_pass(&a, now + 1000, &rest_ns, NULL) == 0);
	cr_assert(rest_ns == SECOND / 10 - 1000, "what is left of it");
	now += SECOND;			/* long paid, and no credit for more */
	cr_assert(usage_pass(&a, now, &rest_ns, NULL) == 0 && rest_ns == 0);
	fake_cpu_ns += SECOND / 10;
	now += SECOND / 5;		/* half of the time */
	cr_assert(usage_pass(&a, now, &rest_ns, NULL) == 0 && rest_ns == 0);
	fake_cpu_ns += 10 * SECOND;
	cr_assert(usage_pass(&a, now += SECOND, &rest_ns, NULL) == 0);
	cr_assert(rest_ns == 19 * SECOND);
	usage_leave(&a);
	usage_release(&u);
}

/* While one rests for long, another shall not begin; alone it may. */
Test(usage, who_rests_lets_nobody_else_begin)
{
	struct usage_share a, b;
	struct err e = ERR_INIT;
	uint64_t rest_ns, now = 100 * SECOND;
	struct usage u;

	usage_begin(&u, (struct usage_limits){ .cpu_percent = 10 });
	usage_join(&u, &a);
	cr_assert(usage_pass(&a, now, &rest_ns, NULL) == 0);
	fake_cpu_ns += SECOND;
	cr_assert(usage_pass(&a, now += SECOND, &rest_ns, NULL) == 0 && rest_ns == 9 * SECOND);
	cr_assert(usage_admit(&u, MIB, now, &e) == 0, "%s", e.text);
	usage_join(&u, &b);
	cr_assert(usage_admit(&u, MIB, now, &e) == ERR_BUSY);
	cr_assert(strstr(e.text, "worker.max_cpu_percent is 10") != NULL, "%s", e.text);
	cr_assert(usage_admit(&u, MIB, now + 9 * SECOND, &e) == 0, "%s", e.text);
	u.limits.memory_bytes = 8 * MIB;
	cr_assert(usage_admit(&u, 9 * MIB, now + 9 * SECOND, &e) == ERR_BUSY);
	usage_leave(&a);
	cr_assert(usage_admit(&u, 9 * MIB, now + 9 * SECOND, &e) == ERR_FULL, "it is never so");
	usage_leave(&b);
	usage_release(&u);
}

/* 80 Mbit/s. */
Test(usage, network_is_paid)
{
	struct usage_share a;
	uint64_t rest_ns, now = 100 * SECOND;
	struct usage u;

	usage_begin(&u, (struct usage_limits){ .network_bytes_per_second = 10000000 });
	usage_join(&u, &a);
	cr_assert(usage_pass(&a, now, &rest_ns, NULL) == 0 && rest_ns == 0);
	u.network_bytes += 5000000;
	cr_assert(usage_pass(&a, now += SECOND / 10, &rest_ns, NULL) == 0);
	cr_assert(rest_ns == SECOND * 4 / 10, "%llu", (unsigned long long)rest_ns);
	usage_leave(&a);
	usage_release(&u);
}

Test(usage, is_reported)
{
	struct usage_report r;
	struct usage_share a;
	struct usage u;

	usage_begin(&u, (struct usage_limits){ 0 });
	usage_join(&u, &a);
	usage_report(&u, 100 * SECOND, &r);
	fake_cpu_ns += SECOND;
	u.network_bytes += 3000;
	fake_memory = 12 * MIB;
	usage_report(&u, 102 * SECOND, &r);
	cr_assert(r.memory_bytes == 7 * MIB);
	cr_assert(r.cpu_percent == 50 && r.network_bytes_per_second == 1500);
	usage_report(&u, 102 * SECOND + 1000, &r);
	cr_assert(r.cpu_percent == 50, "too short to say");
	usage_leave(&a);
	usage_report(&u, 102 * SECOND + 2000, &r);
	cr_assert(r.cpu_percent == 0 && r.network_bytes_per_second == 0, "nothing is in hand");
	usage_release(&u);
}

/* What it says of this process is what this process does. */
Test(usage, meters_this_process)
{
	uint64_t memory = usage_meter_process.memory_bytes();
	uint64_t cpu_ns = usage_meter_process.cpu_ns(), until = clock_mono_ms() + 60000;
	volatile uint8_t *p = mmap(NULL, 64 * MIB, PROT_READ | PROT_WRITE,
	    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	cr_assert(p != MAP_FAILED && memory > 0);
	for (size_t i = 0; i < 64 * MIB; i += 4096)
		p[i] = 1;
	cr_assert(usage_meter_process.memory_bytes() >= memory + 60 * MIB);
	while (usage_meter_process.cpu_ns() < cpu_ns + SECOND / 50)
		cr_assert(clock_mono_ms() < until);
	munmap((void *)(uintptr_t)p, 64 * MIB);
}

/* --- what goes over a network ----------------------------------------------------------------- */

Test(wire, knows_file_systems_of_networks)
{
	struct wire w = { .device_count = 0 };

	wire_line(&w, "36 35 98:0 /root /mnt rw,noatime master:1 - ext4 /dev/sda1 rw\n");
	wire_line(&w, "90 35 0:61 / /srv/far rw,relatime shared:7 shared:8 - nfs4 host:/d rw\n");
	wire_line(&w, "91 35 0:62 / /srv/nfs4 rw - fuse.mergerfs nfs4 rw\n");
	wire_line(&w, "92 35 0:63 / /srv/win rw - cifs //host/d rw\n");
	wire_line(&w, "93 35 0:64 / /srv/ssh rw - fuse.sshfs host: rw\n");
	wire_line(&w, "no line\n");
	cr_assert(w.device_count == 3);
	cr_assert(w.devices[0] == makedev(0, 61) && w.devices[1] == makedev(0, 63) &&
	    w.devices[2] == makedev(0, 64));
	for (unsigned i = 0; i < 2 * WIRE_DEVICES_MAX; i++)
		wire_line(&w, "90 35 0:61 / /srv/far rw - nfs host:/d rw\n");
	cr_assert(w.device_count == WIRE_DEVICES_MAX);
}

Test(wire, a_file_is_on_one_of_them_or_not)
{
	char line[64];
	struct wire w;
	struct stat st;
	int fd = open("/proc/self/stat", O_RDONLY | O_CLOEXEC);

	wire_init(&w);
	cr_assert(fd >= 0 && !wire_has(&w, fd) && fstat(fd, &st) == 0);
	snprintf(line, sizeof(line), "90 35 %u:%u / /x rw - nfs h:/ rw", major(st.st_dev),
	    minor(st.st_dev));
	wire_line(&w, line);
	cr_assert(wire_has(&w, fd));
	close(fd);
	cr_assert(!wire_has(&w, fd));
}

static bool
handle_is_far(void *context, int handle)
{
	(void)handle;
	return (*(bool *)context);
}

Test(wire, the_watch_counts_what_goes_there)
{
	struct disk *under = disk_memory_new(1, 1);
	_Atomic uint64_t bytes = 0;
	uint8_t page[4096] = { 1 };
	struct iovec iov[2] = { { page, 4096 }, { page, 1000 } };
	struct watch w;
	bool far = false;
	int here, there;

	watch_init(&w, under);
	watch_count_remote(&w, handle_is_far, &far, &bytes);
	here = w.disk.ops->open(&w.disk, "/d0/here", O_RDWR | O_CREAT, NULL);
	far = true;
	there = w.disk.ops->open(&w.disk, "/d0/there", O_RDWR | O_CREAT, NULL);
	cr_assert(here >= 0 && there >= 0);
	cr_assert(w.disk.ops->pwritev(&w.disk, here, iov, 2, 0, NULL) == 0 && bytes == 0);
	cr_assert(w.disk.ops->pwritev(&w.disk, there, iov, 2, 0, NULL) == 0 && bytes == 5096);
	cr_assert(w.disk.ops->pwritev_sync(&w.disk, there, iov, 1, 0, NULL) == 0);
	cr_assert(disk_pwritev_begin(&w.disk, there, iov, 1, 0, NULL) == 0);
	cr_assert(bytes == 5096 + 2 * 4096);
	bytes = 0;
	cr_assert(w.disk.ops->pread(&w.disk, there, page, 4096, 4096, NULL) == 1000);
	cr_assert(w.disk.ops->pread(&w.disk, here, page, 4096, 0, NULL) == 4096);
	cr_assert(bytes == 1000, "what the file had");
	w.disk.ops->close(&w.disk, there);
	far = false;
	there = w.disk.ops->open(&w.disk, "/d0/third", O_RDWR | O_CREAT, NULL);
	cr_assert(w.disk.ops->pwritev(&w.disk, there, iov, 1, 0, NULL) == 0 && bytes == 1000);
	w.disk.ops->close(&w.disk, there);
	w.disk.ops->close(&w.disk, here);
	watch_release(&w);
	disk_memory_free(under);
}
