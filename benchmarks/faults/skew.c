/* Loaded before the C library: lets a process believe in a wall-clock time that is off. Waiting goes by other clocks. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stddef.h>
#include <sys/time.h>
#include <time.h>

static long long skew;
static int (*real_clock)(clockid_t, struct timespec *);

void skew_clock(long long seconds) { skew = seconds; }

int clock_gettime(clockid_t clock, struct timespec *now)
{
    if (real_clock == NULL)
        real_clock = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
    int failed = real_clock(clock, now);
    if (!failed && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE))
        now->tv_sec += skew;
    return failed;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone)
{
    struct timespec exact;
    (void)zone;
    clock_gettime(CLOCK_REALTIME, &exact);
    now->tv_sec = exact.tv_sec;
    now->tv_usec = exact.tv_nsec / 1000;
    return 0;
}

time_t time(time_t *seconds)
{
    struct timespec exact;
    clock_gettime(CLOCK_REALTIME, &exact);
    if (seconds != NULL)
        *seconds = exact.tv_sec;
    return exact.tv_sec;
}
