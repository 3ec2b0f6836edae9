/* Stands between a process and the system's clock: what the time is, plus the seconds that a shared file holds.
 *
 * Built by tests/e2e/test_clock_leaps.py and preloaded into every process of a clinic. Only the time of day is moved;
 * the time since boot, sleeps and time limits stay true, as they do where somebody sets a machine's clock. libfaketime
 * moves some limits along with it (0.9.10: clock_nanosleep, pthread_cond_timedwait), so threads starve.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static volatile int64_t *offset;
static int (*real)(clockid_t, struct timespec *);

__attribute__((constructor)) static void begin(void) {
	const char *path = getenv("LEAPING_OFFSET");
	int file = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
	void *found = file < 0 ? MAP_FAILED : mmap(NULL, sizeof(int64_t), PROT_READ, MAP_SHARED, file, 0);
	if (file >= 0) close(file);
	if (found != MAP_FAILED) offset = found;
}

int clock_gettime(clockid_t which, struct timespec *at) {
	if (!real) real = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
	int result = real(which, at);
	if (!result && offset && (which == CLOCK_REALTIME || which == CLOCK_REALTIME_COARSE)) at->tv_sec += *offset;
	return result;
}

int gettimeofday(struct timeval *at, void *zone) {
	struct timespec now;
	(void)zone;
	clock_gettime(CLOCK_REALTIME, &now);
	at->tv_sec = now.tv_sec;
	at->tv_usec = now.tv_nsec / 1000;
	return 0;
}

time_t time(time_t *at) {
	struct timespec now;
	clock_gettime(CLOCK_REALTIME, &now);
	if (at) *at = now.tv_sec;
	return now.tv_sec;
}
