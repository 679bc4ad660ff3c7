/*
 * Ed25519 keys and signatures through OpenSSL. Owns key files: a private key is made whole (temporary file, link) or
 * not at all, and one that others may touch is refused. Any thread; a key is immutable once loaded.
 */
#include "db/sign.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <sys/stat.h>

#include "lib/digest.h"
#include "lib/text.h"

struct sign_key {
	EVP_PKEY *pkey;
	uint8_t public[SIGN_PUBLIC_SIZE];
};

DEFINE_CLEANUP(EVP_PKEY *, EVP_PKEY_free)
DEFINE_CLEANUP(EVP_MD_CTX *, EVP_MD_CTX_free)
#define _cleanup_pkey_	_cleanup_(EVP_PKEY_free_p)
#define _cleanup_mdctx_ _cleanup_(EVP_MD_CTX_free_p)

void sign_key_free(struct sign_key *k)
{
	EVP_PKEY_free(k->pkey);
	free(k);
}

/* Takes over pkey when it succeeds. */
static int key_wrap(EVP_PKEY *pkey, struct sign_key **ret)
{
	_cleanup_free_ struct sign_key *k = calloc(1, sizeof(*k));
	size_t len = sizeof(k->public);

	if (!k)
		return -ENOMEM;
	if (EVP_PKEY_id(pkey) != EVP_PKEY_ED25519 || EVP_PKEY_get_raw_public_key(pkey, k->public, &len) != 1 ||
	    len != sizeof(k->public))
		return -EINVAL;
	k->pkey = pkey;
	*ret = TAKE_PTR(k);
	return 0;
}

/* An encrypted key asks for nothing on the terminal: it fails. */
static int no_password(char *buf _unused_, int size _unused_, int rwflag _unused_, void *data _unused_)
{
	return -1;
}

static int write_all(int fd, const char *data, size_t len)
{
	while (len > 0) {
		ssize_t n = write(fd, data, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		data += n;
		len -= (size_t)n;
	}
	return 0;
}

/* Writes `bio`'s bytes as a new file; an existing one is left alone and is no error when keep is set. */
static int write_new(const char *path, mode_t mode, BIO *bio, bool keep)
{
	_cleanup_buf_ struct buf tmp = BUF_INIT;
	_cleanup_close_ int fd = -1;
	char *data = NULL;
	long len = BIO_get_mem_data(bio, &data);
	int r;

	buf_printf(&tmp, "%s.%ld.new", path, (long)getpid());
	if (tmp.failed)
		return -ENOMEM;
	unlink(tmp.data);
	fd = open(tmp.data, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode);
	if (fd < 0)
		return -errno;
	r = fchmod(fd, mode) < 0 ? -errno : write_all(fd, data, (size_t)len);
	if (r == 0 && fsync(fd) < 0)
		r = -errno;
	/* A link and not a rename: of two first runs, one wins and both then load the same key. */
	if (r == 0 && link(tmp.data, path) < 0 && !(errno == EEXIST && keep))
		r = -errno;
	unlink(tmp.data);
	return r;
}

static int write_public(const char *path, EVP_PKEY *pkey)
{
	_cleanup_buf_ struct buf name = BUF_INIT;
	BIO *bio = BIO_new(BIO_s_mem());
	int r = -ENOMEM;

	buf_printf(&name, "%s.pub", path);
	if (bio && !name.failed && PEM_write_bio_PUBKEY(bio, pkey) == 1)
		r = write_new(name.data, 0644, bio, true);
	BIO_free(bio);
	return r;
}

static int key_make(const char *path)
{
	_cleanup_pkey_ EVP_PKEY *pkey = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
	BIO *bio = BIO_new(BIO_s_secmem());
	int r = -ENOMEM;

	if (pkey && bio && PEM_write_bio_PrivateKey(bio, pkey, NULL, NULL, 0, NULL, NULL) == 1)
		r = write_new(path, 0600, bio, true);
	BIO_free(bio);
	return r;
}

static int key_error(struct buf *err, const char *path, int r, const char *what)
{
	if (err) {
		buf_str(err, "signing key ");
		text_escape(err, path, strlen(path));
		buf_printf(err, ": %s", what ? what : strerror(-r));
	}
	return r;
}

/* Opens a key file that nobody but its owner (root or this user) can change; `secret`: or read. */
static int key_open(const char *path, bool secret, int *ret_fd, struct buf *err)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	struct stat st;

	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return key_error(err, path, -EPERM, "is not a regular file");
	if (st.st_uid != 0 && st.st_uid != geteuid())
		return key_error(err, path, -EPERM, "belongs to another user: chown it to root");
	if (st.st_mode & (secret ? 077 : 022))
		return key_error(err, path, -EPERM,
				 secret ? "may be read or written by others: chmod 0600 it, and if it was ever so on "
					  "a shared machine make a new one"
					: "may be written by others: chmod 0644 it");
	*ret_fd = TAKE_FD(fd);
	return 0;
}

static int key_read(const char *path, bool secret, struct sign_key **ret, struct buf *err)
{
	_cleanup_pkey_ EVP_PKEY *pkey = NULL;
	_cleanup_close_ int fd = -1;
	_cleanup_fclose_ FILE *f = NULL;
	int r = key_open(path, secret, &fd, err);

	if (r < 0)
		return r;
	f = fdopen(fd, "r");
	if (!f)
		return -errno;
	fd = -1;
	pkey = secret ? PEM_read_PrivateKey(f, NULL, no_password, NULL) : PEM_read_PUBKEY(f, NULL, no_password, NULL);
	ERR_clear_error();
	if (!pkey)
		return key_error(err, path, -EINVAL, "is not a PEM key (an encrypted one is not supported)");
	r = key_wrap(pkey, ret);
	if (r < 0)
		return key_error(err, path, r, r == -EINVAL ? "is not an Ed25519 key" : NULL);
	pkey = NULL;
	return 0;
}

int sign_key_load(const char *path, int make, struct sign_key **ret, struct buf *err)
{
	_cleanup_sign_key_ struct sign_key *k = NULL;
	_cleanup_buf_ struct buf pub = BUF_INIT;
	size_t before = err ? err->len : 0;
	int r;

	if (make && access(path, F_OK) < 0 && errno == ENOENT) {
		r = key_make(path);
		if (r < 0)
			return key_error(err, path, r, NULL);
	}
	r = key_read(path, true, &k, err);
	if (r < 0)
		return err && err->len > before ? r : key_error(err, path, r, NULL);
	buf_printf(&pub, "%s.pub", path);
	if (pub.failed)
		return -ENOMEM;
	/* A missing public half is no obstacle to signing, and a read-only folder no error. */
	if (access(pub.data, F_OK) < 0)
		write_public(path, k->pkey);
	*ret = TAKE_PTR(k);
	return 0;
}

int sign_key_load_public(const char *path, struct sign_key **ret, struct buf *err)
{
	_cleanup_buf_ struct buf pub = BUF_INIT;
	size_t before = err ? err->len : 0;
	int r;

	buf_printf(&pub, "%s.pub", path);
	if (pub.failed)
		return -ENOMEM;
	r = key_read(pub.data, false, ret, err);
	if (r == -ENOENT)
		r = key_read(path, true, ret, err);
	if (r < 0 && err && err->len == before)
		return key_error(err, pub.data, r,
				 r == -ENOENT ? "not found: it was made by the first holdfast init" : NULL);
	return r;
}

int sign_key_from_public(const uint8_t pub[SIGN_PUBLIC_SIZE], struct sign_key **ret)
{
	_cleanup_pkey_ EVP_PKEY *pkey = EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, pub, SIGN_PUBLIC_SIZE);
	int r;

	if (!pkey) {
		ERR_clear_error();
		return -EINVAL;
	}
	r = key_wrap(pkey, ret);
	if (r == 0)
		pkey = NULL;
	return r;
}

void sign_key_public(const struct sign_key *k, uint8_t ret[SIGN_PUBLIC_SIZE])
{
	memcpy(ret, k->public, SIGN_PUBLIC_SIZE);
}

void sign_key_id(const struct sign_key *k, struct buf *ret)
{
	_cleanup_digest_ struct digest *d = NULL;
	uint8_t hash[DIGEST_MAX];

	if (digest_new(DIGEST_SHA256, &d) < 0 || digest_once(d, k->public, sizeof(k->public), hash) < 0) {
		ret->failed = true;
		return;
	}
	buf_str(ret, "ed25519:");
	buf_hex(ret, hash, 8);
}

int sign_make(const struct sign_key *k, const void *data, size_t len, uint8_t ret[SIGN_SIZE])
{
	_cleanup_mdctx_ EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	size_t n = SIGN_SIZE;

	if (!ctx)
		return -ENOMEM;
	if (EVP_DigestSignInit(ctx, NULL, NULL, NULL, k->pkey) != 1 || EVP_DigestSign(ctx, ret, &n, data, len) != 1 ||
	    n != SIGN_SIZE) {
		ERR_clear_error();
		return -ENOKEY; /* only the public half is here */
	}
	return 0;
}

int sign_check(const struct sign_key *k, const void *data, size_t len, const uint8_t sig[SIGN_SIZE])
{
	_cleanup_mdctx_ EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	int r;

	if (!ctx)
		return -ENOMEM;
	if (EVP_DigestVerifyInit(ctx, NULL, NULL, NULL, k->pkey) != 1)
		return -EIO;
	r = EVP_DigestVerify(ctx, sig, SIGN_SIZE, data, len);
	ERR_clear_error();
	return r == 1 ? 0 : -EBADMSG;
}
