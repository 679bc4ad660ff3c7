#!/bin/sh
# Images of real runtimes: one image from podman's store, its archives, a mounted container and containerd's store is one
# tree; what a container changes is a difference from it. Needs podman; containerd where it is installed.
. "$(dirname "$0")/lib.sh"
command -v podman >/dev/null || skip "no podman"
command -v busybox >/dev/null || skip "no busybox"
command -v sqlite3 >/dev/null || skip "no sqlite3"

# Podman wants one view of the control groups; this is our own mount namespace.
umount -R /sys/fs/cgroup 2>/dev/null || umount -l /sys/fs/cgroup 2>/dev/null
mount -t cgroup2 none /sys/fs/cgroup 2>/dev/null
mkdir "$tmp/graph" "$tmp/run" "$tmp/images"
mount -t tmpfs none "$tmp/graph" || skip "no tmpfs"
store="[overlay@$tmp/graph+$tmp/run]"
db=$tmp/state/holdfast.db

pod() {
	CONTAINERS_CONF=/dev/null podman --root "$tmp/graph" --runroot "$tmp/run" --storage-driver overlay "$@" 2>"$err"
}

# taken NAME SOURCE: a baseline of it
taken() {
	hf -q init "$1" --image "$2" >"$out" 2>"$err" || die "init --image $2"
}

tree() {
	sqlite3 -readonly "$db" "select hex(tree) from baseline where name = '$1' and state = 1"
}

same() {
	[ "$(tree "$1")" = "$(tree base)" ] || fail "$1 is another tree than base"
}

config
r=$tmp/tree/root
mkdir -p "$r/bin" "$r/etc" "$r/tmp" "$r/opt/gone" "$r/usr/bin"
cp "$(command -v busybox)" "$r/bin/busybox"
ln -s busybox "$r/bin/sh"
ln "$r/bin/busybox" "$r/usr/bin/hard"
chmod 1777 "$r/tmp"
chmod 4755 "$r/bin/busybox"
setcap cap_net_raw+ep "$r/bin/busybox" 2>/dev/null
setfattr -n user.note -v x "$r/etc" 2>/dev/null
echo a >"$r/etc/a"
echo b >"$r/etc/b"
: >"$r/opt/gone/x"
: >"$r/etc/$(printf 'caf\303\251-\377')"
mknod "$r/null" c 1 3
mkfifo "$r/fifo"
tar --xattrs --xattrs-include='*' -C "$r" -c . | pod import -q - localhost/tiny:1 >"$out" || skip "podman does not work here: $(head -1 "$err")"

# A second layer, as podman makes it of what a container changed.
c=$(pod create localhost/tiny:1 /bin/sh) || die "podman create"
m=$(pod mount "$c") || die "podman mount"
echo bb >"$m/etc/b"
rm -r "$m/opt/gone" "$m/etc/a"
mkdir "$m/opt/gone"
: >"$m/opt/gone/y"
chmod 700 "$m/etc"
pod commit -q "$c" localhost/tiny:2 >/dev/null || die "podman commit"
pod umount "$c" >/dev/null
pod rm -f "$c" >/dev/null

# --- one image
taken base "containers-storage:${store}localhost/tiny:2"
[ "$(sqlite3 -readonly "$db" "select group_concat(path || ':' || layer, ' ') from (select path, layer from files where baseline = 'base' and path in ('/bin/busybox', '/etc', '/etc/b', '/opt/gone/y', '/etc/a', '/opt/gone/x') order by path)")" = \
	"/bin/busybox:1 /etc:2 /etc/b:2 /opt/gone/y:2" ] || fail "layers: $(sqlite3 -readonly "$db" "select path, layer from files where baseline = 'base'")"
id=$(pod image inspect --format '{{.Id}}' localhost/tiny:2)
[ "$(sqlite3 -readonly "$db" "select image_id from baselines where name = 'base'")" = "sha256:$id" ] || fail "image id is not $id"
taken short "podman:${store}tiny:2"
same short
taken byid "podman:${store}$id"
same byid
for format in docker-archive oci-archive docker-dir oci-dir; do
	[ $format != docker-dir ] || continue
	pod save -q --format $format -o "$tmp/images/$format" localhost/tiny:2 || die "podman save --format $format"
	taken $format "$tmp/images/$format"
	same $format
	[ "$(sqlite3 -readonly "$db" "select image_id from baselines where name = '$format'")" = "sha256:$id" ] || fail "$format: another image id"
done

# --- a container that has changed nothing, and one that has
c=$(pod create localhost/tiny:2 /bin/sh)
m=$(pod mount "$c")
hf check base --root "$m" >"$out" 2>"$err" || fail "a new container differs from its image"
taken mounted "$m"
same mounted
echo dropped >"$m/bin/dropped"
echo bbb >"$m/etc/b"
rm "$m/fifo"
hf check base --root "$m" --json >"$out" 2>"$err"
[ $? = 7 ] || fail "check of a changed container"
line '"path":"/bin/dropped"' '"change":"added"' || fail "nothing of the added file"
line '"path":"/etc/b"' '"digest"' || fail "nothing of the changed file"
line '"path":"/fifo"' '"change":"removed"' || fail "nothing of the removed one"
pod umount "$c" >/dev/null
pod rm -f "$c" >/dev/null

# --- what the store no longer is
hf init bad --image "podman:${store}nosuch" >"$out" 2>"$err"
[ $? = 66 ] || fail "an image that is not there"
f=$(find "$tmp/graph/overlay" -path '*/diff/etc/b' -size -4c | head -1)
cp "$f" "$tmp/b.saved"
printf 'b!\n' >"$f"
hf init bad --image "podman:${store}localhost/tiny:2" >"$out" 2>"$err"
[ $? = 65 ] || fail "an edited layer in the store was believed"
grep -q "does not have its digest" "$err" || fail "no word of the digest"
: >"$f"
hf init bad --image "podman:${store}localhost/tiny:2" >"$out" 2>"$err"
[ $? = 65 ] || fail "a truncated file in the store was believed"
grep -q "etc/b" "$err" || fail "the file is not named"
[ "$(sqlite3 -readonly "$db" "select count(*) from baseline where name = 'bad'")" = 0 ] || fail "half a baseline was stored"

# --- docker's store, as docker 20.10.24 left it (overlay2) after loading the archive that lies beside it
mkdir "$tmp/graph/docker"
tar -xzf "$(dirname "$0")/../data/images/docker-store.tar.gz" -C "$tmp/graph/docker" || die "the recorded store"
docker=$tmp/graph/docker/store
taken recorded "$tmp/graph/docker/archive.tar"
id=$(sqlite3 -readonly "$db" "select image_id from baselines where name = 'recorded'")
for source in "docker-storage:[$docker]tiny:2" "docker:[$docker]$id" "docker:[$docker]$(expr substr "$id" 8 12)"; do
	hf -q init docker --replace --image "$source" >"$out" 2>"$err" || die "init --image $source"
	[ "$(tree docker)" = "$(tree recorded)" ] || fail "$source is another tree than its archive"
done
hf init bad --image "docker:[$docker]tiny:3" >"$out" 2>"$err"
[ $? = 66 ] || fail "an image that docker does not have"
f=$(find "$docker/overlay2" -path '*/diff/etc/motd' -size -7c)
printf 'hellO\n' >"$f"
hf init bad --image "docker:[$docker]tiny:2" >"$out" 2>"$err"
[ $? = 65 ] || fail "an edited layer in docker's store was believed"

# --- containerd
if command -v containerd >/dev/null && command -v ctr >/dev/null; then
	mkdir "$tmp/c"
	mount -t tmpfs none "$tmp/c"
	printf 'version = 2\nroot = "%s/c/root"\nstate = "%s/c/state"\ndisabled_plugins = ["io.containerd.grpc.v1.cri"]\n[grpc]\n  address = "%s/c/sock"\n[ttrpc]\n  address = "%s/c/ttrpc"\n' \
		"$tmp" "$tmp" "$tmp" "$tmp" >"$tmp/c/config.toml"
	containerd -c "$tmp/c/config.toml" >"$tmp/c/log" 2>&1 &
	pids="$pids $!"
	if within 20 ctr -a "$tmp/c/sock" version >/dev/null 2>&1; then
		ctr -a "$tmp/c/sock" -n k8s.io images import --no-unpack "$tmp/images/docker-archive" >"$out" 2>"$err" ||
			ctr -a "$tmp/c/sock" -n k8s.io images import "$tmp/images/docker-archive" >"$out" 2>"$err" || fail "ctr images import"
		taken ctr "containerd:[$tmp/c/root]localhost/tiny:2"
		same ctr
		digest=$(ctr -a "$tmp/c/sock" -n k8s.io images ls 2>/dev/null | awk '/tiny:2/ {print $3}')
		taken ctrdigest "containerd:[$tmp/c/root]$digest"
		same ctrdigest
		hf init bad --image "containerd:[$tmp/c/root]localhost/tiny:3" >"$out" 2>"$err"
		[ $? = 66 ] || fail "a name that containerd does not have"
	else
		echo "containerd does not start here: left out"
	fi
	for p in $pids; do kill "$p" 2>/dev/null; done
	wait
else
	echo "containerd is not installed: left out"
fi
hf baseline verify >"$out" 2>"$err" || fail "baseline verify"
end
