/*
 * Puts a trust snapshot together from its sources. Runs before the gate starts, then on the monitor's thread "trust",
 * or in a command; opens a connection of its own for each load.
 */
#include "exec/trust_load.h"

#include <errno.h>

#include "db/sign.h"
#include "exec/trust_store.h"
#include "lib/clock.h"
#include "lib/util.h"

static const enum trust_source sources[CONF_TRUST_COUNT] = {
	[CONF_TRUST_BASELINES] = TRUST_BASELINES,
	[CONF_TRUST_DPKG] = TRUST_PACKAGES,
	[CONF_TRUST_EXPLICIT] = TRUST_EXPLICIT,
};

static const enum trust_images images[] = {
	[CONF_IMAGES_OWN] = TRUST_IMAGES_OWN,
	[CONF_IMAGES_CONTAINERS] = TRUST_IMAGES_CONTAINERS,
	[CONF_IMAGES_EVERYWHERE] = TRUST_IMAGES_EVERYWHERE,
};

bool trust_asks(const struct conf *c, enum conf_exec_trust source)
{
	for (unsigned i = 0; i < c->exec.trust.n; i++)
		if (c->exec.trust.word[i] == source)
			return true;
	return false;
}

/* Whoever does not believe them may still want to know what is in an image. */
static bool wants_baselines(const struct conf *c, const struct conf *policies)
{
	return trust_asks(c, CONF_TRUST_BASELINES) || policies->containers.n_policies > 0;
}

static int open_store(const struct db_options *o, struct db **ret_db, struct sign_key **ret_pub, struct buf *warnings)
{
	_cleanup_buf_ struct buf key = BUF_INIT;
	int r = db_open(o, DB_READ, ret_db, warnings);

	if (r == 0)
		r = db_key_path(o, &key);
	return r < 0 ? r : sign_key_load_public(key.data, ret_pub, warnings);
}

static int load_store(const struct conf *c, const struct conf *policies, const struct db_options *o, bool (*over)(void),
		      struct trust_loaded *l, struct buf *warnings)
{
	_cleanup_db_ struct db *db = NULL;
	_cleanup_sign_key_ struct sign_key *pub = NULL;
	int r = open_store(o, &db, &pub, warnings);

	/* Whoever does not believe in what is trusted by hand still does not run what is denied. */
	if (r == 0)
		r = trust_add_explicit(l->trust, db, pub, trust_asks(c, CONF_TRUST_EXPLICIT), clock_real_ns(),
				       &l->expires, warnings);
	if (r == 0 && wants_baselines(c, policies) && !(over && over()))
		r = trust_add_baselines(l->trust, db, pub, c->exec.scripts != CONF_SCRIPTS_OFF, warnings);
	return r;
}

static int load_all(const struct conf *c, const struct conf *policies, const struct db_options *db,
		    struct packages_store *packages, bool (*over)(void), struct trust_loaded *l, struct buf *warnings)
{
	enum trust_source order[CONF_WORDS_MAX];
	int r = trust_asks(c, CONF_TRUST_DPKG) ? packages_store_get(packages, &l->packages, warnings) : 0;

	for (unsigned i = 0; i < c->exec.trust.n; i++)
		order[i] = sources[c->exec.trust.word[i]];
	if (r == 0)
		r = trust_new(order, c->exec.trust.n, l->packages, &l->trust);
	if (r == 0)
		trust_believe_images(l->trust, images[c->exec.images]);
	if (r == 0 && !(over && over()))
		r = load_store(c, policies, db, over, l, warnings);
	return r < 0 ? r : trust_seal(l->trust);
}

int trust_load(const struct conf *c, const struct conf *policies, const struct db_options *db,
	       struct packages_store *packages, bool (*over)(void), struct trust_loaded *ret, struct buf *warnings)
{
	struct trust_loaded l = { 0 };
	int r = load_all(c, policies, db, packages, over, &l, warnings);

	if (r < 0)
		trust_loaded_free(&l);
	else
		*ret = l;
	return r;
}

int trust_load_packages(const struct trust_loaded *old, struct packages_store *packages, struct trust_loaded *ret,
			struct buf *warnings)
{
	struct trust_loaded l = { .expires = old->expires };
	int r = packages_store_get(packages, &l.packages, warnings);

	if (r == 0)
		r = trust_renew(old->trust, l.packages, &l.trust);
	if (r < 0)
		trust_loaded_free(&l);
	else
		*ret = l;
	return r;
}

static int load_list(const struct conf *c, const struct db_options *o, struct trust_loaded *l, struct buf *warnings)
{
	_cleanup_db_ struct db *db = NULL;
	_cleanup_sign_key_ struct sign_key *pub = NULL;
	int r = open_store(o, &db, &pub, warnings);

	if (r == 0)
		r = trust_add_explicit(l->trust, db, pub, trust_asks(c, CONF_TRUST_EXPLICIT), clock_real_ns(),
				       &l->expires, warnings);
	return r < 0 ? r : trust_seal(l->trust);
}

int trust_load_list(const struct conf *c, const struct db_options *db, const struct trust_loaded *old,
		    struct trust_loaded *ret, struct buf *warnings)
{
	struct trust_loaded l = { .packages = old->packages ? packages_ref(old->packages) : NULL };
	int r = trust_relist(old->trust, &l.trust);

	if (r == 0)
		r = load_list(c, db, &l, warnings);
	if (r < 0) {
		trust_loaded_free(&l);
		return r;
	}
	trust_keep_confirmed(l.trust, old->trust);
	*ret = l;
	return 0;
}

void trust_loaded_free(struct trust_loaded *l)
{
	trust_unref(l->trust);
	if (l->packages)
		packages_unref(l->packages);
	*l = (struct trust_loaded){ 0 };
}
