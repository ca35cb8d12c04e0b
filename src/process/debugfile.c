/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <string.h>
#include "debugfile.h"
#include "open.h"

#define DEBUG_DIR "/usr/lib/debug"

static bool belongs(struct symd *symd, int fd, const struct stat *st,
		    const struct object_info *info, struct object_info *debug)
{
	uint32_t crc;

	if (symd_info(symd, fd, debug))
		return false;
	if (debug->machine != info->machine || !debug->has_symtab)
		return false;
	if (info->build_id_len && debug->build_id_len)
		return info->build_id_len == debug->build_id_len &&
		       !memcmp(info->build_id, debug->build_id, info->build_id_len);
	if (!info->debuglink[0] || st->st_size > DEBUGFILE_CRC_MAX)
		return false;
	return !symd_crc(symd, fd, &crc) && crc == info->debuglink_crc;
}

struct search {
	struct symd *symd;
	struct refused *refused;
	int roots[2];
	size_t n_roots;
	struct stat self; /* a debuglink may lead back to the file itself */
	const struct object_info *info;
	struct object_info *debug;
};

static int try_path(const struct search *s, const char *path)
{
	for (size_t i = 0; i < s->n_roots; i++) {
		_cleanup_close_ int fd = -1;
		struct stat st;

		fd = open_in_root(s->roots[i], 0, path, &st);
		if (fd < 0)
			refused_add(s->refused, path, fd);
		if (fd < 0 || (st.st_dev == s->self.st_dev && st.st_ino == s->self.st_ino))
			continue;
		if (belongs(s->symd, fd, &st, s->info, s->debug))
			return TAKE_FD(fd);
	}
	return -ENOENT;
}

static int by_build_id(const struct search *s)
{
	const struct object_info *info = s->info;
	char path[sizeof(DEBUG_DIR) + 32 + 2 * OBJECT_BUILD_ID_MAX];
	int n;

	if (info->build_id_len < 2)
		return -ENOENT;
	n = snprintf(path, sizeof(path), DEBUG_DIR "/.build-id/%02x/", info->build_id[0]);
	for (size_t i = 1; i < info->build_id_len; i++)
		n += snprintf(path + n, sizeof(path) - (size_t)n, "%02x", info->build_id[i]);
	(void)snprintf(path + n, sizeof(path) - (size_t)n, ".debug");
	return try_path(s, path);
}

static int by_debuglink(const struct search *s, const char *file_path)
{
	static const char *const forms[] = { "%.*s/%s", "%.*s/.debug/%s", DEBUG_DIR "%.*s/%s" };
	const char *link = s->info->debuglink, *slash = strrchr(file_path, '/');
	char path[FEED_PATH_MAX + OBJECT_DEBUGLINK_MAX + 32];

	if (!link[0] || strchr(link, '/') || !slash || slash - file_path >= FEED_PATH_MAX)
		return -ENOENT;
	for (size_t i = 0; i < ARRAY_SIZE(forms); i++) {
		int fd;

		(void)snprintf(path, sizeof(path), forms[i], (int)(slash - file_path), file_path,
			       link);
		fd = try_path(s, path);
		if (fd >= 0)
			return fd;
	}
	return -ENOENT;
}

int debugfile_open(struct symd *symd, const struct object_file *file,
		   const struct object_info *info, struct refused *refused,
		   struct object_info *ret_info)
{
	_cleanup_free_ struct object_info *debug = malloc(sizeof(*debug));
	struct search s = { .symd = symd, .refused = refused, .info = info, .debug = debug };
	int fd;

	if (!debug)
		return -ENOMEM;
	if (file->fd >= 0 && fstat(file->fd, &s.self))
		return -errno;
	if (file->debug_rootfd >= 0)
		s.roots[s.n_roots++] = file->debug_rootfd;
	s.roots[s.n_roots++] = -1;
	fd = by_build_id(&s);
	if (fd < 0)
		fd = by_debuglink(&s, file->path);
	if (fd >= 0)
		*ret_info = *debug;
	return fd;
}
