#include "postgres/tls.h"

#include <arpa/inet.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>

#include <time.h>

#include "base/mem.h"
#include "base/strbuf.h"
#include "base/strv.h"

#define CLOCK_SKEW_S 300

#define DEFINE_OPENSSL_CLEANUP(type, function)     \
        static void cleanup_##type(type **pointer) \
        {                                          \
                function(*pointer);                \
        }                                          \
        struct macros_semicolon_

DEFINE_OPENSSL_CLEANUP(EVP_PKEY, EVP_PKEY_free);
DEFINE_OPENSSL_CLEANUP(X509, X509_free);
DEFINE_OPENSSL_CLEANUP(BIO, BIO_free_all);
DEFINE_OPENSSL_CLEANUP(X509_STORE, X509_STORE_free);
DEFINE_OPENSSL_CLEANUP(X509_STORE_CTX, X509_STORE_CTX_free);
DEFINE_OPENSSL_CLEANUP(GENERAL_NAMES, GENERAL_NAMES_free);

#define _cleanup_openssl_(type) _cleanup_(cleanup_##type)

/* The first reason in OpenSSL's queue, which it empties. */
static int openssl_failed(Error **err, const char *what)
{
        unsigned long code = ERR_get_error();
        const char *reason = code ? ERR_reason_error_string(code) : NULL;

        ERR_clear_error();
        return error_set(err, ERROR_INVALID, "%s: %s", what, reason ? reason : "unknown reason");
}

void tls_certificate_done(TlsCertificate *certificate)
{
        free(certificate->certificate);
        free_secret(certificate->key);
        *certificate = (TlsCertificate){ 0 };
}

void tls_facts_done(TlsFacts *facts)
{
        free(facts->common_name);
        strv_free(facts->names);
        *facts = (TlsFacts){ 0 };
}

static char *take_text(BIO *bio)
{
        char *data;
        long size = BIO_get_mem_data(bio, &data);

        return xstrndup(data, (size_t)size);
}

static int certificate_to_pem(X509 *certificate, char **ret, Error **err)
{
        _cleanup_openssl_(BIO) BIO *bio = BIO_new(BIO_s_mem());

        if (!bio || !PEM_write_bio_X509(bio, certificate))
                return openssl_failed(err, "write the certificate");
        *ret = take_text(bio);
        return 0;
}

static int key_to_pem(EVP_PKEY *key, char **ret, Error **err)
{
        _cleanup_openssl_(BIO) BIO *bio = BIO_new(BIO_s_secmem());

        if (!bio || !PEM_write_bio_PKCS8PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL))
                return openssl_failed(err, "write the key");
        *ret = take_text(bio);
        return 0;
}

static int read_certificate(const char *pem, X509 **ret, Error **err)
{
        _cleanup_openssl_(BIO) BIO *bio = BIO_new_mem_buf(pem, -1);

        *ret = bio ? PEM_read_bio_X509(bio, NULL, NULL, NULL) : NULL;
        return *ret ? 0 : openssl_failed(err, "read the certificate");
}

/* A key file that asks for a passphrase is of no use to a server that starts by itself. */
static int refuse_passphrase(_unused_ char *buffer, _unused_ int size, _unused_ int writing, void *asked)
{
        *(bool *)asked = true;
        return -1;
}

static int read_key(const char *pem, EVP_PKEY **ret, Error **err)
{
        _cleanup_openssl_(BIO) BIO *bio = BIO_new_mem_buf(pem, -1);
        bool encrypted = false;

        *ret = bio ? PEM_read_bio_PrivateKey(bio, NULL, refuse_passphrase, &encrypted) : NULL;
        if (*ret)
                return 0;
        if (encrypted) {
                int r = error_set(err, ERROR_INVALID, "the key is encrypted with a passphrase");
                ERR_clear_error();
                return error_hint(err, r, "Decrypt it: openssl pkey -in server.key -out plain.key");
        }
        return openssl_failed(err, "read the key");
}

static int add_extension(X509 *certificate, X509 *issuer, int nid, const char *value, Error **err)
{
        X509V3_CTX context;
        X509_EXTENSION *extension;
        int added;

        X509V3_set_ctx_nodb(&context);
        X509V3_set_ctx(&context, issuer, certificate, NULL, NULL, 0);
        extension = X509V3_EXT_conf_nid(NULL, &context, nid, value);
        if (!extension)
                return openssl_failed(err, value);
        added = X509_add_ext(certificate, extension, -1);
        X509_EXTENSION_free(extension);
        return added ? 0 : openssl_failed(err, value);
}

static int set_serial(X509 *certificate, Error **err)
{
        unsigned char bytes[16];
        BIGNUM *number;
        bool good;

        if (RAND_bytes(bytes, sizeof(bytes)) != 1)
                return openssl_failed(err, "random serial number");
        bytes[0] = (bytes[0] & 0x7f) | 0x40; /* positive, and always sixteen bytes */
        number = BN_bin2bn(bytes, sizeof(bytes), NULL);
        good = number && BN_to_ASN1_INTEGER(number, X509_get_serialNumber(certificate));
        BN_free(number);
        return good ? 0 : openssl_failed(err, "serial number");
}

static int new_certificate(const char *common_name, int days, EVP_PKEY *key, X509 **ret, Error **err)
{
        _cleanup_openssl_(X509) X509 *certificate = X509_new();
        X509_NAME *subject;
        int r;

        if (!certificate || !X509_set_version(certificate, X509_VERSION_3) || !X509_set_pubkey(certificate, key) ||
            !X509_gmtime_adj(X509_getm_notBefore(certificate), -CLOCK_SKEW_S) ||
            !X509_time_adj_ex(X509_getm_notAfter(certificate), days, 0, NULL))
                return openssl_failed(err, "make the certificate");
        r = set_serial(certificate, err);
        if (r < 0)
                return r;
        subject = X509_get_subject_name(certificate);
        /* A common name is 64 bytes at most; the alternative names carry the rest. */
        if (!X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_UTF8, (const unsigned char *)common_name,
                                        (int)MIN(strlen(common_name), (size_t)64), -1, 0))
                return openssl_failed(err, common_name);
        *ret = TAKE_PTR(certificate);
        return 0;
}

static int finish(X509 *certificate, EVP_PKEY *key, EVP_PKEY *signing_key, TlsCertificate *ret, Error **err)
{
        int r;

        if (!X509_sign(certificate, signing_key, EVP_sha256()))
                return openssl_failed(err, "sign the certificate");
        r = certificate_to_pem(certificate, &ret->certificate, err);
        if (r < 0)
                return r;
        return key_to_pem(key, &ret->key, err);
}

int tls_make_authority(const char *name, int days, TlsCertificate *ret, Error **err)
{
        _cleanup_openssl_(EVP_PKEY) EVP_PKEY *key = EVP_EC_gen("P-256");
        _cleanup_openssl_(X509) X509 *certificate = NULL;
        static const struct {
                int nid;
                const char *value;
        } extensions[] = {
                { NID_basic_constraints, "critical,CA:TRUE,pathlen:0" },
                { NID_key_usage, "critical,keyCertSign,cRLSign" },
                { NID_subject_key_identifier, "hash" },
        };
        int r;

        if (!key)
                return openssl_failed(err, "make a key");
        r = new_certificate(name, days, key, &certificate, err);
        if (r < 0)
                return r;
        X509_set_issuer_name(certificate, X509_get_subject_name(certificate));
        for (size_t i = 0; i < ARRAY_SIZE(extensions) && r == 0; i++)
                r = add_extension(certificate, certificate, extensions[i].nid, extensions[i].value, err);
        return r < 0 ? r : finish(certificate, key, key, ret, err);
}

/* "DNS:db,IP:127.0.0.1", or NULL where there are no names. */
static char *alternative_names(const TlsNames *names)
{
        _cleanup_strv_ char **parts = NULL;

        STRV_FOREACH(name, names->dns)
                strv_addf(&parts, "DNS:%s", *name);
        STRV_FOREACH(address, names->addresses)
                strv_addf(&parts, "IP:%s", *address);
        return parts ? strv_join(parts, ",") : NULL;
}

static int make_leaf(const TlsCertificate *authority, const char *common_name, const char *usage, const char *names,
                     int days, const char *key_pem, TlsCertificate *ret, Error **err)
{
        _cleanup_openssl_(EVP_PKEY) EVP_PKEY *key = NULL, *authority_key = NULL;
        _cleanup_openssl_(X509) X509 *certificate = NULL, *issuer = NULL;
        int r;

        if (!key_pem)
                key = EVP_EC_gen("P-256");
        else if (read_key(key_pem, &key, err) < 0)
                return -ERROR_INVALID;
        if (!key)
                return openssl_failed(err, "make a key");
        r = read_certificate(authority->certificate, &issuer, err);
        if (r == 0)
                r = read_key(authority->key, &authority_key, err);
        if (r < 0)
                return error_prefix(err, r, "certificate authority");
        r = new_certificate(common_name, days, key, &certificate, err);
        if (r < 0)
                return r;
        X509_set_issuer_name(certificate, X509_get_subject_name(issuer));
        if (ASN1_TIME_compare(X509_get0_notAfter(certificate), X509_get0_notAfter(issuer)) > 0)
                X509_set1_notAfter(certificate, X509_get0_notAfter(issuer));
        r = add_extension(certificate, issuer, NID_basic_constraints, "critical,CA:FALSE", err);
        if (r == 0)
                r = add_extension(certificate, issuer, NID_key_usage, "critical,digitalSignature", err);
        if (r == 0)
                r = add_extension(certificate, issuer, NID_ext_key_usage, usage, err);
        if (r == 0)
                r = add_extension(certificate, issuer, NID_subject_key_identifier, "hash", err);
        if (r == 0)
                r = add_extension(certificate, issuer, NID_authority_key_identifier, "keyid", err);
        if (r == 0 && names)
                r = add_extension(certificate, issuer, NID_subject_alt_name, names, err);
        return r < 0 ? r : finish(certificate, key, authority_key, ret, err);
}

int tls_make_server(const TlsCertificate *authority, const char *common_name, const TlsNames *names, int days,
                    const char *key, TlsCertificate *ret, Error **err)
{
        _cleanup_free_ char *alternatives = alternative_names(names);

        return make_leaf(authority, common_name, "serverAuth", alternatives, days, key, ret, err);
}

int tls_make_client(const TlsCertificate *authority, const char *role, int days, TlsCertificate *ret, Error **err)
{
        return make_leaf(authority, role, "clientAuth", NULL, days, NULL, ret, err);
}

static int64_t seconds_of(const ASN1_TIME *time)
{
        struct tm broken = { 0 };

        return ASN1_TIME_to_tm(time, &broken) ? (int64_t)timegm(&broken) : 0;
}

static char *address_text(const ASN1_OCTET_STRING *address)
{
        int length = ASN1_STRING_length(address);
        char text[INET6_ADDRSTRLEN] = "";

        if (length == 4 || length == 16)
                inet_ntop(length == 4 ? AF_INET : AF_INET6, ASN1_STRING_get0_data(address), text, sizeof(text));
        return xstrdup(text);
}

static char **names_of(X509 *certificate)
{
        _cleanup_openssl_(GENERAL_NAMES) GENERAL_NAMES *names =
                X509_get_ext_d2i(certificate, NID_subject_alt_name, NULL, NULL);
        char **texts = NULL;

        for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
                const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);
                if (name->type == GEN_DNS)
                        strv_take(&texts, xstrndup((const char *)ASN1_STRING_get0_data(name->d.dNSName),
                                                   (size_t)ASN1_STRING_length(name->d.dNSName)));
                else if (name->type == GEN_IPADD)
                        strv_take(&texts, address_text(name->d.iPAddress));
        }
        return texts;
}

int tls_read(const char *pem, TlsFacts *ret, Error **err)
{
        _cleanup_openssl_(X509) X509 *certificate = NULL;
        char name[256] = "";
        int r;

        *ret = (TlsFacts){ 0 };
        r = read_certificate(pem, &certificate, err);
        if (r < 0)
                return r;
        X509_NAME_get_text_by_NID(X509_get_subject_name(certificate), NID_commonName, name, sizeof(name));
        ret->common_name = xstrdup(name);
        ret->not_before_s = seconds_of(X509_get0_notBefore(certificate));
        ret->not_after_s = seconds_of(X509_get0_notAfter(certificate));
        ret->self_signed = X509_self_signed(certificate, 0) == 1;
        ret->is_authority = X509_check_ca(certificate) == 1;
        ret->names = names_of(certificate);
        ERR_clear_error();
        return 0;
}

int tls_check_pair(const char *certificate_pem, const char *key_pem, Error **err)
{
        _cleanup_openssl_(X509) X509 *certificate = NULL;
        _cleanup_openssl_(EVP_PKEY) EVP_PKEY *key = NULL;
        int r;

        r = read_certificate(certificate_pem, &certificate, err);
        if (r == 0)
                r = read_key(key_pem, &key, err);
        if (r < 0)
                return r;
        if (X509_check_private_key(certificate, key) == 1)
                return 0;
        ERR_clear_error();
        return error_set(err, ERROR_INVALID, "the key does not belong to the certificate");
}

/* All certificates of a PEM text but the first: those between it and its authority. */
static STACK_OF(X509) * read_chain(const char *pem)
{
        _cleanup_openssl_(BIO) BIO *bio = BIO_new_mem_buf(pem, -1);
        STACK_OF(X509) *chain = sk_X509_new_null();
        bool first = true;

        for (X509 *item; bio && chain && (item = PEM_read_bio_X509(bio, NULL, NULL, NULL)); first = false) {
                if (first || !sk_X509_push(chain, item))
                        X509_free(item);
        }
        ERR_clear_error();
        return chain;
}

static void free_chain(STACK_OF(X509) * *chain)
{
        sk_X509_pop_free(*chain, X509_free);
}

int tls_verify(const char *authority_pem, const char *certificate_pem, int64_t time_s, Error **err)
{
        _cleanup_openssl_(X509) X509 *authority = NULL, *certificate = NULL;
        _cleanup_openssl_(X509_STORE) X509_STORE *store = X509_STORE_new();
        _cleanup_openssl_(X509_STORE_CTX) X509_STORE_CTX *context = X509_STORE_CTX_new();
        _cleanup_(free_chain) STACK_OF(X509) *chain = read_chain(certificate_pem);
        int r;

        r = read_certificate(authority_pem, &authority, err);
        if (r == 0)
                r = read_certificate(certificate_pem, &certificate, err);
        if (r < 0)
                return r;
        if (!store || !context || !X509_STORE_add_cert(store, authority) ||
            !X509_STORE_CTX_init(context, store, certificate, chain))
                return openssl_failed(err, "verify the certificate");
        X509_STORE_CTX_set_flags(context, X509_V_FLAG_PARTIAL_CHAIN | (time_s < 0 ? X509_V_FLAG_NO_CHECK_TIME : 0));
        if (time_s >= 0)
                X509_STORE_CTX_set_time(context, 0, (time_t)time_s);
        if (X509_verify_cert(context) == 1)
                return 0;
        r = X509_STORE_CTX_get_error(context);
        ERR_clear_error();
        return error_set(err, ERROR_INVALID, "verify the certificate: %s", X509_verify_cert_error_string(r));
}
