/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <limits.h>
#include <linux/magic.h>
#include <mntent.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include "cgroup.h"

/* Mount point of the cgroup2 hierarchy. False where there is none. */
static bool cgroup_root(char *path, size_t size)
{
	FILE *mounts = setmntent("/proc/self/mounts", "re");
	struct mntent *m;
	bool found = false;

	if (!mounts)
		return false;
	while (!found && (m = getmntent(mounts))) {
		found = !strcmp(m->mnt_type, "cgroup2");
		if (found)
			(void)snprintf(path, size, "%s", m->mnt_dir);
	}
	(void)endmntent(mounts);
	return found;
}

int cgroup_find(const char *name, uint64_t *ret_id, unsigned int *ret_level, struct err *e)
{
	char root[PATH_MAX], wanted[2 * PATH_MAX], real[PATH_MAX];
	unsigned int level = 0;
	struct statfs fs;
	struct stat st;
	size_t len;

	if (!cgroup_root(root, sizeof(root))) {
		err_set(e, EXIT_KERNEL, "-C %s: no cgroup2 hierarchy is mounted", name);
		return err_hint(e, "mount -t cgroup2 none /sys/fs/cgroup");
	}
	len = strlen(root);
	if (!strncmp(name, root, len) && (!name[len] || name[len] == '/'))
		(void)snprintf(wanted, sizeof(wanted), "%s", name);
	else
		(void)snprintf(wanted, sizeof(wanted), "%s/%s", root, name);
	if (!realpath(wanted, real) || stat(real, &st) || statfs(real, &fs)) {
		err_set(e, EXIT_NO_TARGET, "no cgroup \"%s\" (%s): %m", name, wanted);
		return err_hint(e, "Give a folder below %s; /proc/PID/cgroup tells a process's.",
				root);
	}
	if (!S_ISDIR(st.st_mode) || fs.f_type != CGROUP2_SUPER_MAGIC ||
	    strncmp(real, root, len) != 0) {
		err_set(e, EXIT_NO_TARGET, "\"%s\" is no cgroup of the cgroup2 hierarchy", name);
		return err_hint(e, "Give a folder below %s.", root);
	}
	for (const char *p = real + len; *p; p++)
		level += *p == '/' && p[1] && p[1] != '/';
	*ret_id = st.st_ino;
	*ret_level = level;
	return 0;
}
