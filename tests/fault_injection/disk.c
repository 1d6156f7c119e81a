/* A disk between the process and the real one, loaded with LD_PRELOAD by the suites of accidents.
 *
 * It remembers, for every file below CALLDEX_TEST_DISK_DIR, what each sector held when the file was
 * last synced. When the power goes, every sector that was not synced is put back, or each with a chance
 * of one half where the cut is partial, and the process ends. sync_file_range is no barrier, as on a
 * real disk. A sync that fails behaves as Linux's: the sectors that it should have written are held to
 * be clean from then on, no later sync writes them, and at a power cut they are gone, unless they were
 * written anew. A sync that lies says that it was done and was not.
 *
 * What happens when is each suite's own: its policy.c, which is included at the end, says so.
 *
 * Not modelled: creation, removal and renaming of files are taken as durable at once, and so is what
 * is copied by the kernel (copy_file_range) or written through memory maps (the shared-memory index
 * beside the log, which is rebuilt).
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SECTOR 512
#define FILES_MAX 4096
#define FDS_MAX 4096

struct file {
  dev_t dev;
  ino_t ino;
  int own_fd;              /* for putting sectors back; never closed */
  int is_database;         /* calls.db or a file beside it */
  off_t durable_size;
  unsigned char **saved;   /* by sector: what it held at the last sync, or NULL */
  unsigned char *stuck;    /* by sector: a sync failed, so that none will write it */
  size_t sectors;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct file files[FILES_MAX];
static int files_count;
static int file_of_fd[FDS_MAX]; /* index + 1 */
static char dir[4096];
static unsigned long random_state = 88172645463325252UL;

static int (*real_open)(const char *, int, ...);
static int (*real_close)(int);
static ssize_t (*real_write)(int, const void *, size_t);
static ssize_t (*real_pwrite)(int, const void *, size_t, off_t);
static int (*real_ftruncate)(int, off_t);
static int (*real_fsync)(int);
static int (*real_fdatasync)(int);

/* The suite's policy. */
/* When the library is loaded, with the real functions known. */
static void begin(void);
/* Whether a power cut spares some of what was not synced. */
static int cut_is_partial(void);
/* Before a write or a sync, without the lock: what takes time. */
static void before_write(int fd);
static void before_sync(int fd);
/* With the lock held: whether a write fails; then errno is set. */
static int write_fails(struct file *file);
/* With the lock held: what becomes of a sync. One that fails has set errno. */
enum sync { SYNC_WORKS, SYNC_FAILS, SYNC_LIES };
static enum sync sync_goes(struct file *file);

__attribute__((constructor)) static void start(void) {
  const char *path = getenv("CALLDEX_TEST_DISK_DIR");
  real_open = dlsym(RTLD_NEXT, "open64");
  real_close = dlsym(RTLD_NEXT, "close");
  real_write = dlsym(RTLD_NEXT, "write");
  real_pwrite = dlsym(RTLD_NEXT, "pwrite64");
  real_ftruncate = dlsym(RTLD_NEXT, "ftruncate64");
  real_fsync = dlsym(RTLD_NEXT, "fsync");
  real_fdatasync = dlsym(RTLD_NEXT, "fdatasync");
  if (path) snprintf(dir, sizeof dir, "%s/", path);
  begin();
}

static int coin(void) {
  random_state ^= random_state << 13;
  random_state ^= random_state >> 7;
  random_state ^= random_state << 17;
  return (random_state >> 20) & 1;
}

static struct file *of_fd(int fd) {
  return fd >= 0 && fd < FDS_MAX && file_of_fd[fd] ? &files[file_of_fd[fd] - 1] : NULL;
}

static void save(struct file *file, off_t from, off_t to) {
  for (size_t at = from / SECTOR; at <= (size_t)((to - 1) / SECTOR) && to > from; at++) {
    if (at >= file->sectors) {
      size_t wanted = at * 2 + 64;
      file->saved = realloc(file->saved, wanted * sizeof *file->saved);
      memset(file->saved + file->sectors, 0, (wanted - file->sectors) * sizeof *file->saved);
      file->stuck = realloc(file->stuck, wanted);
      memset(file->stuck + file->sectors, 0, wanted - file->sectors);
      file->sectors = wanted;
    }
    file->stuck[at] = 0;
    if (file->saved[at]) continue;
    file->saved[at] = calloc(1, SECTOR);
    if (pread(file->own_fd, file->saved[at], SECTOR, (off_t)at * SECTOR) < 0) abort();
  }
}

static void synced(struct file *file) {
  struct stat now;
  for (size_t at = 0; at < file->sectors; at++) {
    if (file->stuck[at]) continue;
    free(file->saved[at]);
    file->saved[at] = NULL;
  }
  if (fstat(file->own_fd, &now) == 0) file->durable_size = now.st_size;
}

static void sync_failed(struct file *file) {
  for (size_t at = 0; at < file->sectors; at++) file->stuck[at] = file->saved[at] != NULL;
}

static void cut_power(void) {
  for (int index = 0; index < files_count; index++) {
    struct file *file = &files[index];
    struct stat now;
    if (fstat(file->own_fd, &now) != 0) abort();
    int keeps_size = cut_is_partial() && now.st_size > file->durable_size && coin();
    for (size_t at = 0; at < file->sectors; at++) {
      if (!file->saved[at] || (cut_is_partial() && coin())) continue;
      if (real_pwrite(file->own_fd, file->saved[at], SECTOR, (off_t)at * SECTOR) != SECTOR) abort();
    }
    if (real_ftruncate(file->own_fd, keeps_size ? now.st_size : file->durable_size) != 0) abort();
  }
  raise(SIGKILL);
}

static void note_open(int fd, const char *path, int flags) {
  struct stat info;
  size_t length = strlen(path);
  if (!dir[0] || strncmp(path, dir, strlen(dir)) != 0 || fd >= FDS_MAX) return;
  if ((flags & O_ACCMODE) == O_RDONLY || (flags & O_DIRECTORY)) return;
  if (length > 4 && (strcmp(path + length - 4, "-shm") == 0 || strcmp(path + length - 5, ".lock") == 0)) return;
  if (fstat(fd, &info) != 0 || !S_ISREG(info.st_mode)) return;
  int index = 0;
  while (index < files_count && !(files[index].ino == info.st_ino && files[index].dev == info.st_dev)) index++;
  if (index == files_count) {
    if (files_count == FILES_MAX) abort();
    struct file fresh = {info.st_dev, info.st_ino, real_open(path, O_RDWR | O_CLOEXEC, 0), 0, info.st_size, NULL, NULL, 0};
    if (fresh.own_fd < 0) return;
    fresh.is_database = strstr(path, "calls.db") != NULL;
    files[files_count++] = fresh;
  }
  file_of_fd[fd] = index + 1;
}

static int open_either(const char *path, int flags, mode_t mode) {
  pthread_mutex_lock(&lock);
  int fd = real_open(path, flags, mode);
  int kept = errno;
  if (fd >= 0) note_open(fd, path, flags);
  pthread_mutex_unlock(&lock);
  errno = kept;
  return fd;
}

int open(const char *path, int flags, ...) {
  va_list more;
  va_start(more, flags);
  mode_t mode = va_arg(more, mode_t);
  va_end(more);
  return open_either(path, flags, mode);
}

int open64(const char *path, int flags, ...) {
  va_list more;
  va_start(more, flags);
  mode_t mode = va_arg(more, mode_t);
  va_end(more);
  return open_either(path, flags, mode);
}

int close(int fd) {
  pthread_mutex_lock(&lock);
  if (fd >= 0 && fd < FDS_MAX) file_of_fd[fd] = 0;
  pthread_mutex_unlock(&lock);
  return real_close(fd);
}

static ssize_t write_at(int fd, const void *bytes, size_t count, off_t at, int positioned) {
  before_write(fd);
  pthread_mutex_lock(&lock);
  struct file *file = of_fd(fd);
  ssize_t written = -1;
  if (!write_fails(file)) {
    off_t from = positioned ? at : (file ? lseek(fd, 0, SEEK_CUR) : 0);
    if (file) save(file, from, from + (off_t)count);
    written = positioned ? real_pwrite(fd, bytes, count, at) : real_write(fd, bytes, count);
  }
  int kept = errno;
  pthread_mutex_unlock(&lock);
  errno = kept;
  return written;
}

ssize_t write(int fd, const void *bytes, size_t count) {
  /* Pipes and the like must not wait for the lock. */
  return of_fd(fd) ? write_at(fd, bytes, count, 0, 0) : real_write(fd, bytes, count);
}

ssize_t pwrite(int fd, const void *bytes, size_t count, off_t at) { return write_at(fd, bytes, count, at, 1); }
ssize_t pwrite64(int fd, const void *bytes, size_t count, off_t at) { return write_at(fd, bytes, count, at, 1); }

static int truncate_to(int fd, off_t size) {
  pthread_mutex_lock(&lock);
  struct file *file = of_fd(fd);
  struct stat now;
  if (file && fstat(fd, &now) == 0 && size < now.st_size) save(file, size, now.st_size);
  int outcome = real_ftruncate(fd, size);
  int kept = errno;
  pthread_mutex_unlock(&lock);
  errno = kept;
  return outcome;
}

int ftruncate(int fd, off_t size) { return truncate_to(fd, size); }
int ftruncate64(int fd, off_t size) { return truncate_to(fd, size); }

static int sync_either(int fd, int (*real)(int)) {
  before_sync(fd);
  pthread_mutex_lock(&lock);
  struct file *file = of_fd(fd);
  int outcome = -1;
  switch (sync_goes(file)) {
    case SYNC_LIES:
      outcome = 0;
      break;
    case SYNC_FAILS:
      sync_failed(file);
      break;
    case SYNC_WORKS:
      outcome = real(fd);
      if (file && outcome == 0) synced(file);
  }
  int kept = errno;
  pthread_mutex_unlock(&lock);
  errno = kept;
  return outcome;
}

int fsync(int fd) { return sync_either(fd, real_fsync); }
int fdatasync(int fd) { return sync_either(fd, real_fdatasync); }

#include "policy.c"
