/*
 * test_metrics - adding, setting, and which rows were touched.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <criterion/criterion.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>

#include "libbase/metrics.h"

Test(metrics, untouched_until_used)
{
	int i;

	for (i = 0; i < METRIC_COUNT; i++) {
		cr_assert(!metric_touched((enum metric)i));
		cr_assert_gt(strlen(metric_name((enum metric)i)), 0);
		cr_assert_gt(strlen(metric_help((enum metric)i)), 0);
	}
	metric_add(METRIC_s3_requests_total, 0);
	cr_assert(metric_touched(METRIC_s3_requests_total));
	cr_assert(!metric_touched(METRIC_s3_errors_4xx_total));
}

Test(metrics, kinds)
{
	cr_assert(metric_is_counter(METRIC_s3_requests_total));
	cr_assert(!metric_is_counter(METRIC_store_objects));
	cr_assert_str_eq(metric_name(METRIC_store_objects), "store_objects");
	cr_assert(metric_scale(METRIC_store_objects) == 1);
	cr_assert(!metric_is_counter(METRIC_tasks_failure_rate));
	cr_assert(metric_scale(METRIC_tasks_failure_rate) == 1000);
	metric_set(METRIC_store_objects, 9);
	cr_assert_eq(metric_get(METRIC_store_objects), 9);
}

Test(metrics, a_counter_cannot_be_set, .signal = SIGABRT)
{
	metric_set(METRIC_s3_requests_total, 1);
}

static void *
add_many(void *context)
{
	int i;

	(void)context;
	for (i = 0; i < 10000; i++)
		metric_add(METRIC_s3_requests_total, 2);
	return (NULL);
}

Test(metrics, any_thread_may_add)
{
	pthread_t threads[4];
	int i;

	for (i = 0; i < 4; i++)
		cr_assert_eq(pthread_create(&threads[i], NULL, add_many, NULL), 0);
	for (i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	cr_assert_eq(metric_get(METRIC_s3_requests_total), 80000);
}
