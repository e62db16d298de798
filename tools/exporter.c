// SPDX-License-Identifier: GPL-2.0-only
/*
 * The metrics over HTTP.
 *
 * There are two threads. The main one opens the socket, drops all privileges, and waits for a
 * signal; once a second it cuts off clients that take too long. libmicrohttpd's own thread
 * answers requests, one after the other, and reads the tables for each. Both touch clients[],
 * under its lock; complain() is the second thread's while that runs.
 *
 * One request per connection: there is a scrape every few seconds, and a connection without
 * a request is somebody who holds a place.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <microhttpd.h>
#include <netdb.h>
#include <pthread.h>
#include <pwd.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "ctxstat.h"
#include "interval.h"
#include "plugin.h"

#define LISTEN_DEFAULT	"127.0.0.1:10063"
#define UNPRIVILEGED	"nobody"
#define METRICS		"/metrics"

#define TYPE_METRICS	"text/plain; version=0.0.4; charset=utf-8"
#define TYPE_TEXT	"text/plain; charset=utf-8"
#define TYPE_HTML	"text/html; charset=utf-8"

/* More wait in the backlog. */
#define CLIENTS_MAX	64
#define BACKLOG		128
/* Holds the headers of a request. */
#define CLIENT_MEMORY	8192
/* Besides the clients' there are stdio's, the table's, libmicrohttpd's. */
#define OTHER_FILES	16

/* In seconds: without a byte either way; for the request, if all places are taken, if not; for
 * all of the answer.
 */
#define IDLE_MAX	10
#define REQUEST_CROWDED	1
#define REQUEST_MAX	5
#define ANSWER_MAX	30
/* When it ends: for answers, and for a request that may be on its way. */
#define STOP_MAX	3
#define STOP_REQUEST	0.3

/**
 * struct client - a connection
 * @fd: its socket, or -1
 * @answering: the request has come in
 * @deadline: when it is cut off
 */
struct client {
	int fd;
	bool answering;
	double deadline;
};

static pthread_mutex_t clients_lock = PTHREAD_MUTEX_INITIALIZER;
static struct client clients[CLIENTS_MAX];
/* When there has to be an end; 0: goes on. Under clients_lock, too. */
static double stop_at;
static unsigned int places;

/* What complain() said last, and what of it stderr was told. */
static char message[8192], logged[8192];

/* Where to listen */

union address {
	struct sockaddr sa;
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
};

/* 0: any that is free. */
static bool parse_port(const char *text, in_port_t *port)
{
	unsigned long number = 0;
	const char *p;

	for (p = text; *p; p++) {
		if (*p < '0' || *p > '9')
			return false;
		number = number * 10 + (*p - '0');
		if (number > UINT16_MAX)
			return false;
	}
	*port = htons(number);
	return p != text;
}

/* Not inet_pton(): a link-local address has an interface's name in it. */
static bool parse_v6(const char *host, struct sockaddr_in6 *v6)
{
	struct addrinfo hints = { .ai_family = AF_INET6, .ai_flags = AI_NUMERICHOST };
	struct addrinfo *found;

	if (getaddrinfo(host, NULL, &hints, &found))
		return false;
	memcpy(v6, found->ai_addr, sizeof(*v6));
	freeaddrinfo(found);
	return true;
}

/* Numbers: nothing is looked up. Both: listening on all addresses is nobody's mistake. */
static bool parse_listen(const char *text, union address *addr)
{
	const char *colon = strrchr(text, ':');
	char host[INET6_ADDRSTRLEN + 32];
	in_port_t port;
	size_t len;
	bool ok;

	memset(addr, 0, sizeof(*addr));
	if (!colon || !parse_port(colon + 1, &port))
		return false;
	len = colon - text;
	if (len >= sizeof(host))
		return false;
	memcpy(host, text, len);
	host[len] = '\0';
	if (host[0] == '[' && host[len - 1] == ']') {
		host[len - 1] = '\0';
		ok = parse_v6(host + 1, &addr->v6);
		addr->v6.sin6_port = port;
		return ok;
	}
	addr->v4.sin_family = AF_INET;
	addr->v4.sin_port = port;
	return inet_pton(AF_INET, host, &addr->v4.sin_addr) == 1;
}

static int complain_listen(const char *listen_on, int error)
{
	if (error == EADDRINUSE)
		complain("cannot listen on %s: the port is in use; see by whom with: ss -ltnp, or choose another with --listen",
			 listen_on);
	else if (error == EADDRNOTAVAIL)
		complain("cannot listen on %s: this machine does not have that address; see: ip address",
			 listen_on);
	else if (error == EACCES)
		complain("cannot listen on %s: permission denied; start it as root, or choose a port above 1023 with --listen",
			 listen_on);
	else
		complain("cannot listen on %s: %s; choose another address with --listen", listen_on,
			 strerror(error));
	return EXIT_SYSTEM;
}

static int bind_socket(int fd, const union address *addr)
{
	socklen_t len = addr->sa.sa_family == AF_INET6 ? sizeof(addr->v6) : sizeof(addr->v4);
	int on = 1, off = 0;

	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)))
		return -1;
	/* [::] is all addresses, whatever the sysctl bindv6only says. */
	if (addr->sa.sa_family == AF_INET6 &&
	    setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off)))
		return -1;
	return bind(fd, &addr->sa, len) || listen(fd, BACKLOG) ? -1 : 0;
}

/* Return: EXIT_OK and a socket, or after a message EXIT_USAGE or EXIT_SYSTEM. */
static int open_socket(const char *listen_on, int *fd)
{
	union address addr;
	int error;

	if (!parse_listen(listen_on, &addr)) {
		complain("--listen=%s: must be an address and a port in numbers, such as 127.0.0.1:10063, [::1]:10063, or 0.0.0.0:10063 for all addresses",
			 listen_on);
		return EXIT_USAGE;
	}
	*fd = socket(addr.sa.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (*fd < 0)
		return complain_listen(listen_on, errno);
	if (!bind_socket(*fd, &addr))
		return EXIT_OK;
	error = errno;
	close(*fd);
	return complain_listen(listen_on, error);
}

/* A port of 0 has become a real one. */
static void print_listening(int fd)
{
	char host[NI_MAXHOST] = "?", port[NI_MAXSERV] = "?", user[32];
	const struct passwd *pw = getpwuid(geteuid());
	union address addr;
	socklen_t len = sizeof(addr);
	bool v6;

	if (!getsockname(fd, &addr.sa, &len))
		getnameinfo(&addr.sa, len, host, sizeof(host), port, sizeof(port),
			    NI_NUMERICHOST | NI_NUMERICSERV);
	v6 = strchr(host, ':');
	snprintf(user, sizeof(user), "%u", geteuid());
	fprintf(stderr, "ctxstat: listening on http://%s%s%s:%s" METRICS " as user %s\n",
		v6 ? "[" : "", host, v6 ? "]" : "", port, pw ? pw->pw_name : user);
}

/* Privileges */

static bool is_root(void)
{
	uid_t real, effective, saved;

	return getresuid(&real, &effective, &saved) || !real || !effective || !saved;
}

static bool become(uid_t uid, gid_t gid)
{
	if (setgroups(0, NULL) || setresgid(gid, gid, gid) || setresuid(uid, uid, uid))
		return false;
	/* There must be no way back. */
	errno = EPERM;
	return setresuid(-1, 0, -1) && setresgid(-1, 0, -1) && !is_root();
}

/* Those that somebody may have who is not root. */
static bool drop_capabilities(void)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct caps[_LINUX_CAPABILITY_U32S_3] = {};
	static const struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3];

	if (syscall(SYS_capget, &head, caps))
		return false;
	/* In a sandbox there are none, and no permission to drop them either. */
	return !memcmp(caps, none, sizeof(none)) || !syscall(SYS_capset, &head, none);
}

/* Return: EXIT_OK, or EXIT_SYSTEM after a message. */
static int drop_privileges(void)
{
	const struct passwd *pw;

	if (is_root()) {
		pw = getpwnam(UNPRIVILEGED);
		if (!pw || !pw->pw_uid || !pw->pw_gid) {
			complain("there is no user \"" UNPRIVILEGED "\" to become; start it as another one than root");
			return EXIT_SYSTEM;
		}
		if (!become(pw->pw_uid, pw->pw_gid)) {
			complain("cannot become user \"" UNPRIVILEGED "\": %s; start it as another one than root",
				 strerror(errno));
			return EXIT_SYSTEM;
		}
	}
	if (!drop_capabilities() || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)) {
		complain("cannot give up capabilities: %s", strerror(errno));
		return EXIT_SYSTEM;
	}
	return EXIT_OK;
}

/* Clients */

static void set_deadline(struct client *client, double seconds)
{
	client->deadline = monotonic() + seconds;
	if (stop_at && client->deadline > stop_at)
		client->deadline = stop_at;
}

static struct client *free_client(void)
{
	size_t i;

	for (i = 0; i < CLIENTS_MAX; i++)
		if (clients[i].fd < 0)
			return &clients[i];
	return NULL;
}

/* libmicrohttpd says when a connection comes, and before its socket is closed. */
static void on_connection(void *cls, struct MHD_Connection *conn, void **context,
			  enum MHD_ConnectionNotificationCode code)
{
	const union MHD_ConnectionInfo *info;
	struct client *client = *context;

	(void)cls;
	pthread_mutex_lock(&clients_lock);
	if (code == MHD_CONNECTION_NOTIFY_CLOSED) {
		if (client)
			client->fd = -1;
	} else {
		info = MHD_get_connection_info(conn, MHD_CONNECTION_INFO_CONNECTION_FD);
		client = info ? free_client() : NULL;
		if (client) {
			client->fd = info->connect_fd;
			client->answering = false;
			set_deadline(client, REQUEST_MAX);
		}
		*context = client;
	}
	pthread_mutex_unlock(&clients_lock);
}

static void on_request(struct MHD_Connection *conn)
{
	const union MHD_ConnectionInfo *info;
	struct client *client;

	info = MHD_get_connection_info(conn, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
	client = info ? info->socket_context : NULL;
	if (!client)
		return;
	pthread_mutex_lock(&clients_lock);
	client->answering = true;
	set_deadline(client, ANSWER_MAX);
	pthread_mutex_unlock(&clients_lock);
}

static unsigned int count_clients(void)
{
	unsigned int i, n = 0;

	for (i = 0; i < CLIENTS_MAX; i++)
		n += clients[i].fd >= 0;
	return n;
}

/* Who holds a place and asks for nothing has less time when others may be waiting for it. */
static bool is_late(const struct client *client, bool crowded)
{
	double less = crowded && !client->answering ? REQUEST_MAX - REQUEST_CROWDED : 0;
	char byte;

	if (client->fd < 0 || monotonic() < client->deadline - less)
		return false;
	if (client->answering || stop_at)
		return true;
	/* A request that has come and not been read: it is this side that is late. */
	return recv(client->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) <= 0;
}

/* Return: how many clients are left. Those that are cut off will be gone in a moment. */
static unsigned int cut_off_late(void)
{
	unsigned int i, left;

	pthread_mutex_lock(&clients_lock);
	left = count_clients();
	for (i = 0; i < CLIENTS_MAX; i++)
		if (is_late(&clients[i], left >= places))
			shutdown(clients[i].fd, SHUT_RDWR);
	pthread_mutex_unlock(&clients_lock);
	return left;
}

static void hurry_all(void)
{
	size_t i;

	pthread_mutex_lock(&clients_lock);
	stop_at = monotonic() + STOP_MAX;
	for (i = 0; i < CLIENTS_MAX; i++) {
		if (!clients[i].answering)
			set_deadline(&clients[i], STOP_REQUEST);
		else if (clients[i].deadline > stop_at)
			clients[i].deadline = stop_at;
	}
	pthread_mutex_unlock(&clients_lock);
}

/* Answers */

static enum MHD_Result reply(struct MHD_Connection *conn, unsigned int status, const char *type,
			     const char *text)
{
	struct MHD_Response *response;
	enum MHD_Result ret;

	response = MHD_create_response_from_buffer(strlen(text), (char *)text,
						   MHD_RESPMEM_MUST_COPY);
	if (!response)
		return MHD_NO;
	MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, type);
	MHD_add_response_header(response, MHD_HTTP_HEADER_CONNECTION, "close");
	if (status == MHD_HTTP_METHOD_NOT_ALLOWED)
		MHD_add_response_header(response, MHD_HTTP_HEADER_ALLOW, "GET, HEAD");
	ret = MHD_queue_response(conn, status, response);
	MHD_destroy_response(response);
	return ret;
}

/* As reply(), but of @text that is freed. */
static enum MHD_Result reply_metrics(struct MHD_Connection *conn, char *text, size_t len)
{
	struct MHD_Response *response;
	enum MHD_Result ret;

	response = MHD_create_response_from_buffer(len, text, MHD_RESPMEM_MUST_FREE);
	if (!response) {
		free(text);
		return MHD_NO;
	}
	MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, TYPE_METRICS);
	MHD_add_response_header(response, MHD_HTTP_HEADER_CONNECTION, "close");
	ret = MHD_queue_response(conn, MHD_HTTP_OK, response);
	MHD_destroy_response(response);
	return ret;
}

static void keep_message(const char *line)
{
	snprintf(message, sizeof(message), "%s", line);
}

/* When it begins, changes and ends, not at each scrape. No message: all is well. */
static void log_message(void)
{
	if (!strcmp(message, logged))
		return;
	fprintf(stderr, "ctxstat: %s\n", *message ? message : "the tables can be read again");
	memcpy(logged, message, sizeof(logged));
}

/* Return: all metrics, to be freed; or NULL and why in message. */
static char *write_metrics(const struct options *opt, size_t *len)
{
	char *text = NULL;
	FILE *out = open_memstream(&text, len);
	bool ok;

	message[0] = '\0';
	ok = out && !prometheus_write(opt, out) && !ferror(out);
	if (out && fclose(out))
		ok = false;
	if (ok)
		return text;
	if (!*message)
		complain("out of memory");
	free(text);
	return NULL;
}

static enum MHD_Result scrape(const struct options *opt, struct MHD_Connection *conn)
{
	size_t len;
	char *text = write_metrics(opt, &len);
	char body[sizeof(message) + 1];

	log_message();
	if (text)
		return reply_metrics(conn, text, len);
	snprintf(body, sizeof(body), "%s\n", message);
	return reply(conn, MHD_HTTP_SERVICE_UNAVAILABLE, TYPE_TEXT, body);
}

/* The body of a request is never waited for. */
static enum MHD_Result answer(void *cls, struct MHD_Connection *conn, const char *url,
			      const char *method, const char *version, const char *upload,
			      size_t *upload_size, void **context)
{
	(void)version;
	(void)upload;
	(void)upload_size;
	(void)context;
	on_request(conn);
	if (strcmp(method, MHD_HTTP_METHOD_GET) && strcmp(method, MHD_HTTP_METHOD_HEAD))
		return reply(conn, MHD_HTTP_METHOD_NOT_ALLOWED, TYPE_TEXT,
			     "Only GET and HEAD.\n");
	if (!strcmp(url, METRICS))
		return scrape(cls, conn);
	if (!strcmp(url, "/"))
		return reply(conn, MHD_HTTP_OK, TYPE_HTML,
			     "<!DOCTYPE html>\n"
			     "<html lang=\"en\"><head><title>ctxstat</title></head>\n"
			     "<body><h1>ctxstat</h1>\n"
			     "<p><a href=\"" METRICS "\">Metrics</a></p></body></html>\n");
	return reply(conn, MHD_HTTP_NOT_FOUND, TYPE_TEXT,
		     "Not found; the metrics are at " METRICS ".\n");
}

/* From start to end */

/* A client's socket must not take the place of a closed stderr: it would get the log. */
static int open_stdio(void)
{
	int fd;

	do {
		fd = open("/dev/null", O_RDWR);
		if (fd < 0) {
			complain("cannot open /dev/null: %s", strerror(errno));
			return EXIT_SYSTEM;
		}
	} while (fd <= STDERR_FILENO);
	close(fd);
	return EXIT_OK;
}

/* A client without a place waits; one who has the last descriptor keeps the tables shut. */
static unsigned int count_places(void)
{
	struct rlimit files;

	if (getrlimit(RLIMIT_NOFILE, &files) || files.rlim_cur >= CLIENTS_MAX + OTHER_FILES)
		return CLIENTS_MAX;
	return files.rlim_cur > OTHER_FILES ? files.rlim_cur - OTHER_FILES : 1;
}

/* @fd becomes the daemon's. */
static struct MHD_Daemon *start(const struct options *opt, int fd)
{
	size_t i;

	for (i = 0; i < CLIENTS_MAX; i++)
		clients[i].fd = -1;
	places = count_places();
	/* MHD_USE_ITC: for MHD_quiesce_daemon(). */
	return MHD_start_daemon(MHD_USE_AUTO | MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_ITC, 0,
				NULL, NULL, answer, (void *)opt,
				MHD_OPTION_LISTEN_SOCKET, fd,
				MHD_OPTION_CONNECTION_LIMIT, places,
				MHD_OPTION_CONNECTION_TIMEOUT, (unsigned int)IDLE_MAX,
				MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)CLIENT_MEMORY,
				MHD_OPTION_NOTIFY_CONNECTION, on_connection, NULL,
				MHD_OPTION_END);
}

/* Return: whether one of them came within @seconds. */
static bool wait_signal(const sigset_t *signals, double seconds)
{
	struct timespec timeout = {
		.tv_sec = seconds,
		.tv_nsec = (seconds - (time_t)seconds) * 1e9,
	};

	return sigtimedwait(signals, NULL, &timeout) > 0;
}

/* Answers that have begun are finished, unless that takes too long or is asked for again. */
static void stop(struct MHD_Daemon *daemon, const sigset_t *signals)
{
	int fd = MHD_quiesce_daemon(daemon);

	if (fd >= 0)
		close(fd);
	hurry_all();
	while (cut_off_late() && monotonic() < stop_at && !wait_signal(signals, 0.02))
		;
	MHD_stop_daemon(daemon);
}

static int serve(const struct options *opt, int fd)
{
	struct MHD_Daemon *daemon;
	sigset_t signals;

	sigemptyset(&signals);
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGTERM);
	sigprocmask(SIG_BLOCK, &signals, NULL);

	complain_to(keep_message);
	daemon = start(opt, fd);
	if (!daemon) {
		complain_to(NULL);
		close(fd);
		complain("cannot start the HTTP server: %s; is there enough memory?", strerror(errno));
		return EXIT_SYSTEM;
	}
	print_listening(fd);
	while (!wait_signal(&signals, 1))
		cut_off_late();
	stop(daemon, &signals);
	complain_to(NULL);
	return EXIT_OK;
}

static int run(const struct options *opt)
{
	int fd, ret;

	ret = open_stdio();
	if (!ret)
		ret = open_socket(opt->listen ? opt->listen : LISTEN_DEFAULT, &fd);
	if (ret)
		return ret;
	/* Only now: Prometheus is out here, not in there. */
	if (opt->netns)
		ret = netns_enter(opt->netns);
	if (!ret)
		ret = drop_privileges();
	if (!ret)
		return serve(opt, fd);
	close(fd);
	return ret;
}

const struct plugin plugin = { .version = CTXSTAT_VERSION, .run = run };
