/* The machine under an instance: the disk of ../accidents/disk.c, which can be told, while the instance
 * runs, to be slow, to be full, to fail, to lie or to lose its power, and a clock that can be told to be
 * wrong. What it is told lies in the file CALLDEX_TEST_CONTROL, mapped by both sides.
 */
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>

/* What machine.rs writes; the order of the fields is known there. */
struct control {
  volatile int64_t cut;              /* 1: whole, 2: partial */
  volatile int64_t sync_errno;
  volatile int64_t write_errno;
  volatile int64_t sync_delay_us;
  volatile int64_t write_delay_us;
  volatile int64_t sync_lies;
  volatile int64_t clock_offset_ms;
  volatile int64_t hits;             /* written here: operations that failed */
  volatile int64_t seed;
};

static struct control nothing, *control = &nothing;
static int (*real_clock_gettime)(clockid_t, struct timespec *);

/* The power goes when it is told to, whether the instance is writing or not. */
static void *watch(void *unused) {
  for (;;) {
    if (control->cut) {
      pthread_mutex_lock(&lock);
      cut_power();
    }
    usleep(2000);
  }
  return unused;
}

static void begin(void) {
  const char *told = getenv("CALLDEX_TEST_CONTROL");
  pthread_t watcher;
  int fd;
  real_clock_gettime = dlsym(RTLD_NEXT, "clock_gettime");
  if (!dir[0] || !told) return;
  fd = real_open(told, O_RDWR | O_CLOEXEC, 0);
  if (fd < 0) abort();
  control = mmap(NULL, sizeof *control, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (control == MAP_FAILED) abort();
  real_close(fd);
  random_state ^= (unsigned long)control->seed * 2654435761UL;
  if (pthread_create(&watcher, NULL, watch, NULL) != 0) abort();
}

static int cut_is_partial(void) { return control->cut == 2; }

/* Not with the lock held: only this operation is slow. */
static void take_time(int64_t delay_us, int fd) {
  if (delay_us && of_fd(fd)) usleep((useconds_t)delay_us);
}

static void before_write(int fd) { take_time(control->write_delay_us, fd); }
static void before_sync(int fd) { take_time(control->sync_delay_us, fd); }

/* Whether this call is one that fails. */
static int fails(int64_t with, struct file *file) {
  if (!with || !file) return 0;
  control->hits++;
  errno = (int)with;
  return 1;
}

static int write_fails(struct file *file) { return fails(control->write_errno, file); }

static enum sync sync_goes(struct file *file) {
  if (file && control->sync_lies) return SYNC_LIES;
  return fails(control->sync_errno, file) ? SYNC_FAILS : SYNC_WORKS;
}

int clock_gettime(clockid_t clock, struct timespec *now) {
  int outcome = real_clock_gettime ? real_clock_gettime(clock, now) : -1;
  int64_t offset = control->clock_offset_ms;
  if (outcome == 0 && offset && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) {
    int64_t ms = now->tv_nsec / 1000000 + offset, s = ms / 1000;
    ms -= s * 1000;
    if (ms < 0) ms += 1000, s--;
    now->tv_sec += s;
    now->tv_nsec = ms * 1000000 + now->tv_nsec % 1000000;
  }
  return outcome;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone) {
  struct timespec exact;
  (void)zone;
  int outcome = clock_gettime(CLOCK_REALTIME, &exact);
  now->tv_sec = exact.tv_sec;
  now->tv_usec = exact.tv_nsec / 1000;
  return outcome;
}
