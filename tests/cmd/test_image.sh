#!/bin/sh
# init --image: OCI layouts, docker-archives and folders made here with tar and sha256sum; one image is one tree, whatever it
# is taken from; what is not what its digest says is refused, and nothing is stored.
. "$(dirname "$0")/lib.sh"
make_tree
db=$tmp/state/holdfast.db
for tool in tar gzip sha256sum sqlite3; do
	command -v $tool >/dev/null || skip "no $tool"
done

sum() {
	sha256sum "$1" | cut -d' ' -f1
}

size() {
	stat -c %s "$1"
}

# layer NAME: the folder NAME as a layer, with numeric owners and whole seconds, as runtimes have it
layer() {
	tar --format=pax --pax-option=delete=atime,delete=ctime --xattrs --xattrs-include='*' --numeric-owner --sort=name -C "$tmp/$1" -cf "$tmp/$1.tar" .
}

mkdir -p "$tmp/l1/bin" "$tmp/l1/etc/keep" "$tmp/l1/etc/gone" "$tmp/l1/opt/old"
echo program >"$tmp/l1/bin/program"
chmod 4755 "$tmp/l1/bin/program"
ln "$tmp/l1/bin/program" "$tmp/l1/bin/hard"
ln -s ../bin/program "$tmp/l1/etc/link"
echo one >"$tmp/l1/etc/keep/one"
echo one >"$tmp/l1/etc/changed"
echo one >"$tmp/l1/etc/gone/one"
echo old >"$tmp/l1/opt/old/file"
: >"$tmp/l1/etc/empty"
i=0
while [ $i -lt 150 ]; do
	: >"$tmp/l1/opt/n$i"
	i=$((i + 1))
done
setfattr -n user.note -v x "$tmp/l1/etc/keep/one" 2>/dev/null
[ "$(id -u)" != 0 ] || setcap cap_net_raw+ep "$tmp/l1/bin/hard" 2>/dev/null
layer l1
mkdir -p "$tmp/l2/etc" "$tmp/l2/opt/old"
echo two >"$tmp/l2/etc/changed"
: >"$tmp/l2/etc/.wh.gone"
: >"$tmp/l2/opt/old/.wh..wh..opq"
echo new >"$tmp/l2/opt/old/new"
layer l2

# What a runtime makes of the two.
cp -a "$tmp/l1" "$tmp/root"
rm -rf "$tmp/root/etc/gone" "$tmp/root/opt/old"
cp -a "$tmp/l2/etc/changed" "$tmp/root/etc/changed"
cp -a "$tmp/l2/opt/old" "$tmp/root/opt/old"
rm "$tmp/root/opt/old/.wh..wh..opq"

config() {
	printf '{"architecture":"%s","os":"linux","rootfs":{"type":"layers","diff_ids":["sha256:%s","sha256:%s"]},"history":[{"created_by":"ADD l1"},{"created_by":"ENV x","empty_layer":true},{"created_by":"RUN \\\\ l2"}]}' \
		any "$(sum "$tmp/l1.tar")" "$(sum "$tmp/l2.tar")" >"$tmp/config.json"
}

# put FILE: into the layout as a blob; its digest is printed
put() {
	cp "$1" "$tmp/oci/blobs/sha256/$(sum "$1")"
	sum "$1"
}

# oci FILE1 FILE2: a layout of these two blobs
oci() {
	rm -rf "$tmp/oci"
	mkdir -p "$tmp/oci/blobs/sha256"
	printf '{"imageLayoutVersion":"1.0.0"}' >"$tmp/oci/oci-layout"
	printf '{"schemaVersion":2,"config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"sha256:%s","size":%s},"layers":[{"mediaType":"application/vnd.oci.image.layer.v1.tar","digest":"sha256:%s","size":%s},{"mediaType":"application/vnd.oci.image.layer.v1.tar","digest":"sha256:%s","size":%s}]}' \
		"$(put "$tmp/config.json")" "$(size "$tmp/config.json")" "$(put "$1")" "$(size "$1")" "$(put "$2")" "$(size "$2")" >"$tmp/manifest.json"
	manifest=$(put "$tmp/manifest.json")
	printf '{"schemaVersion":2,"manifests":[{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"sha256:%s","size":%s,"annotations":{"org.opencontainers.image.ref.name":"localhost/tiny:1"}}]}' \
		"$manifest" "$(size "$tmp/manifest.json")" >"$tmp/oci/index.json"
}

docker() {
	rm -rf "$tmp/docker"
	mkdir -p "$tmp/docker/aaa" "$tmp/docker/bbb"
	cp "$tmp/l1.tar" "$tmp/docker/aaa/layer.tar"
	cp "$1" "$tmp/docker/two.tar"
	ln -s ../two.tar "$tmp/docker/bbb/layer.tar"
	cp "$tmp/config.json" "$tmp/docker/$(sum "$tmp/config.json").json"
	printf '[{"Config":"%s.json","RepoTags":["localhost/tiny:1"],"Layers":["aaa/layer.tar","bbb/layer.tar"]}]' "$(sum "$tmp/config.json")" >"$tmp/docker/manifest.json"
	(cd "$tmp/docker" && tar -cf "$tmp/docker.tar" aaa bbb two.tar ./*.json)
}

# tree NAME: the digest under the signature
tree() {
	sqlite3 -readonly "$db" "select hex(tree) from baseline where name = '$1' and state = 1"
}

gzip -nk "$tmp/l1.tar"
gzip -nk "$tmp/l2.tar"
config
id=$(sum "$tmp/config.json")

# --- one image, whatever it is taken from
docker "$tmp/l2.tar"
hf 0 init docker --image "$tmp/docker.tar"
has "localhost/tiny:1"
has "sha256:$id"
one=$(tree docker)
[ -n "$one" ] || fail "no tree"
hf 0 init folder --image "$tmp/root"
is "$one" "$(tree folder)" "tree of the folder"
oci "$tmp/l1.tar" "$tmp/l2.tar"
hf 0 init oci --image "$tmp/oci"
is "$one" "$(tree oci)" "tree of the layout"
is "sha256:$manifest" "$(sqlite3 -readonly "$db" "select image_digest from baselines where name = 'oci'")" "its manifest"
tar -C "$tmp/oci" -cf "$tmp/oci.tar" .
hf 0 init ocitar --image "oci-archive:$tmp/oci.tar:localhost/tiny:1"
is "$one" "$(tree ocitar)" "tree of the archive of the layout"
hf 66 init nosuch --image "oci-archive:$tmp/oci.tar:localhost/other:1"
has_err "localhost/tiny:1"
hf 66 init nosuch --image "docker-archive:$tmp/docker.tar:other"
hf 0 init named --image "docker-archive:$tmp/docker.tar:localhost/tiny:1"

# compressed layers, where this build reads them
oci "$tmp/l1.tar.gz" "$tmp/l2.tar.gz"
"$holdfast" -c "$tmp/holdfast.yaml" --db "$db" init gzip --image "$tmp/oci" >"$out" 2>"$err"
if grep -q "built without libarchive" "$err"; then
	echo "built without libarchive: compressed layers are not tried"
	packed=
else
	packed=y
	is "$one" "$(tree gzip)" "tree of gzip layers"
	is "sha256:$(sum "$tmp/l1.tar.gz")" "$(sqlite3 -readonly "$db" "select blob_digest from layers where baseline = 'gzip' and layer = 1")" "digest of the blob"
	if command -v zstd >/dev/null; then
		zstd -q "$tmp/l1.tar" "$tmp/l2.tar"
		oci "$tmp/l1.tar.zst" "$tmp/l2.tar.zst"
		hf 0 init zstd --image "$tmp/oci"
		is "$one" "$(tree zstd)" "tree of zstd layers"
	fi
fi

# --- what is in it
sqlite3 -readonly "$db" "select path, layer from files where baseline = 'docker' and path in ('/etc/keep/one', '/etc/changed', '/opt/old/new', '/opt/old/file', '/etc/gone/one', '/bin/hard', '/opt') order by path" >"$tmp/layers"
printf '/bin/hard|1\n/etc/changed|2\n/etc/keep/one|1\n/opt|1\n/opt/old/new|2\n' | cmp -s - "$tmp/layers" || fail "layers: $(cat "$tmp/layers")"
hf 0 baseline show docker
has "RUN"
has "ADD l1"
hf 0 baseline list
has "localhost/tiny:1"
hf 0 baseline show docker --json
has '"layer_digest":"sha256:'
hf 0 baseline verify
lacks BAD
hf 0 baseline diff docker oci
hf 0 baseline diff docker folder

# --- against an unpacked root
hf 64 check docker
hf 0 check docker --root "$tmp/root"
hf 0 check docker --root "$tmp/root" --full
echo evil >"$tmp/root/bin/dropped"
echo other >"$tmp/root/etc/changed"
rm "$tmp/root/etc/empty"
chmod 755 "$tmp/root/bin/program"
hf 7 check docker --root "$tmp/root" --json
has '"path":"/bin/dropped"'
has '"path":"/etc/changed"'
has '"path":"/etc/empty"'

# --- another version of it: what changed, and by which layer
cp -a "$tmp/l2" "$tmp/l3"
echo three >"$tmp/l3/etc/changed"
echo x >"$tmp/l3/opt/old/more"
layer l3
sed "s/$(sum "$tmp/l2.tar")/$(sum "$tmp/l3.tar")/" "$tmp/config.json" >"$tmp/config.3"
mv "$tmp/config.3" "$tmp/config.json"
docker "$tmp/l3.tar"
hf 0 init next --image "$tmp/docker.tar"
hf 5 baseline diff docker next
has "more"
has "layer 2"
hf 5 baseline diff docker next --json
has '"layer":2'

# --- moved to another node
hf 0 baseline export docker -o "$tmp/docker.hfb"
mkdir "$tmp/other"
"$holdfast" --db "$tmp/other/o.db" -c "$tmp/holdfast.yaml" baseline import "$tmp/docker.hfb" >"$out" 2>"$err"
is 0 $? "import"
is "sha256:$id|2" "$(sqlite3 -readonly "$tmp/other/o.db" "select image_id, layers from baselines")" "what was imported"
is 2 "$(sqlite3 -readonly "$tmp/other/o.db" "select layer from files where path = '/etc/changed'")" "layer of an imported file"

# --- what is not what it says: 65, and no trace
count=$(sqlite3 -readonly "$db" "select count(*) from baseline")
bad() { # SOURCE TEXT
	hf 65 init bad --image "$1"
	has_err "$2"
	is "$count" "$(sqlite3 -readonly "$db" "select count(*) from baseline")" "baselines after $1"
}
config
oci "$tmp/l1.tar" "$tmp/l2.tar"
printf x | dd of="$tmp/oci/blobs/sha256/$(sum "$tmp/l2.tar")" bs=1 seek=$(($(size "$tmp/l2.tar") - 1)) conv=notrunc 2>/dev/null
bad "$tmp/oci" "layer 2 of 2"
has_err "does not have its digest"
oci "$tmp/l1.tar" "$tmp/l3.tar"
bad "$tmp/oci" "does not have its digest"
oci "$tmp/l1.tar" "$tmp/l2.tar"
echo >>"$tmp/oci/blobs/sha256/$manifest"
bad "$tmp/oci" "does not have its digest"
oci "$tmp/l1.tar" "$tmp/l2.tar"
echo >>"$tmp/oci/blobs/sha256/$id"
bad "$tmp/oci" "does not have its digest"
oci "$tmp/l1.tar" "$tmp/l2.tar"
rm "$tmp/oci/blobs/sha256/$(sum "$tmp/l2.tar")"
hf 66 init bad --image "$tmp/oci"
docker "$tmp/l3.tar"
bad "$tmp/docker.tar" "layer 2 of 2"
docker "$tmp/l2.tar"
head -c $(($(size "$tmp/docker.tar") / 3)) "$tmp/docker.tar" >"$tmp/half.tar"
bad "$tmp/half.tar" "cut short"
gzip -k "$tmp/docker.tar"
bad "$tmp/docker.tar.gz" "decompress it first"
bad "$tmp/l1.tar" "no image"
head -c 10000 /dev/urandom >"$tmp/noise.tar"
bad "$tmp/noise.tar" "not a tar archive"
hf 66 init bad --image "$tmp/nosuch"
hf 66 init bad --image "oci:$tmp/nosuch"
if [ -n "$packed" ]; then
	# A bomb, and a layer that ends early.
	head -c 335544320 /dev/zero | gzip -n >"$tmp/bomb.gz"
	oci "$tmp/l1.tar.gz" "$tmp/bomb.gz"
	bad "$tmp/oci" "expands to more than"
	head -c $(($(size "$tmp/l1.tar.gz") / 2)) "$tmp/l1.tar.gz" >"$tmp/short.gz"
	oci "$tmp/short.gz" "$tmp/l2.tar.gz"
	bad "$tmp/oci" "layer 1 of 2"
fi

# --- use
hf 64 init --image "$tmp/oci"
hf 64 init x --image "$tmp/oci" --root /
hf 64 init x --image "$tmp/oci" /etc
hf 73 init docker --image "$tmp/root"
hf 0 init docker --image "$tmp/root" --replace
hf 0 baseline verify
finished
