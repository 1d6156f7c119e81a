/* The disk of ../accidents/disk.c, told beforehand by the environment.
 *
 * At the sync number CALLDEX_DISK_CUT_AT the power goes, CALLDEX_DISK_CUT=whole or =partial.
 *
 * Or it fails: CALLDEX_DISK_FAIL=sync|write, from call CALLDEX_DISK_FAIL_FROM on, for
 * CALLDEX_DISK_FAIL_COUNT calls on the database's files, with errno CALLDEX_DISK_ERRNO. The file
 * disk.failed below the directory shows that it did.
 */

static long cut_at, syncs;
static int cut_partial, fail_errno;
static char fail_kind; /* 's', 'w' or 0 */
static long fail_from, fail_count, fail_calls;

static long env_long(const char *name) {
  const char *text = getenv(name);
  return text ? atol(text) : 0;
}

static void begin(void) {
  const char *text = getenv("CALLDEX_DISK_CUT");
  cut_at = env_long("CALLDEX_DISK_CUT_AT");
  cut_partial = text && strcmp(text, "partial") == 0;
  text = getenv("CALLDEX_DISK_FAIL");
  fail_kind = text ? text[0] : 0;
  fail_from = env_long("CALLDEX_DISK_FAIL_FROM");
  fail_count = env_long("CALLDEX_DISK_FAIL_COUNT");
  fail_errno = (int)env_long("CALLDEX_DISK_ERRNO");
  random_state ^= (unsigned long)env_long("CALLDEX_DISK_SEED") * 2654435761UL;
}

static int cut_is_partial(void) { return cut_partial; }
static void before_write(int fd) { (void)fd; }
static void before_sync(int fd) { (void)fd; }

/* Whether this call is one that fails. */
static int fails(char kind, struct file *file) {
  if (fail_kind != kind || !file || !file->is_database) return 0;
  long n = ++fail_calls;
  if (n < fail_from || n >= fail_from + fail_count) return 0;
  char mark[sizeof dir + 16];
  snprintf(mark, sizeof mark, "%sdisk.failed", dir);
  int fd = real_open(mark, O_WRONLY | O_CREAT, 0644);
  if (fd >= 0) real_close(fd);
  errno = fail_errno;
  return 1;
}

static int write_fails(struct file *file) { return fails('w', file); }

static enum sync sync_goes(struct file *file) {
  if (file && ++syncs == cut_at) cut_power();
  return fails('s', file) ? SYNC_FAILS : SYNC_WORKS;
}
