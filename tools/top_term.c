// SPDX-License-Identifier: GPL-2.0-only
#include <curses.h>
#include <errno.h>
#include <langinfo.h>
#include <locale.h>
#include <math.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "ctxstat.h"
#include "interval.h"
#include "top_term.h"

/* The last one, as it makes macros of plain words such as "columns". */
#include <term.h>

/* An escape key is one if nothing follows in so many milliseconds. */
#define ESCAPE_DELAY 100
/* A terminal that takes no output for so many seconds is left as it is. */
#define PATIENCE 3

static SCREEN *screen;
/* Keys are read from a pad, as reading them from a window draws that at once. */
static WINDOW *keys;
static struct termios modes;
static int wakeup = -1;
static bool utf8;
static bool colours;
static bool colours_started;
static volatile sig_atomic_t quitting, resized, continued;

static void wake(void)
{
	const uint64_t one = 1;
	int error = errno;
	ssize_t n;

	/* If it cannot take more, it is awake already. */
	n = write(wakeup, &one, sizeof(one));
	(void)n;
	errno = error;
}

/* Output may be stuck in a terminal that was stopped, where nothing looks at the flag. */
static void on_quit(int signal)
{
	(void)signal;
	quitting = 1;
	alarm(PATIENCE);
	wake();
}

static void on_alarm(int signal)
{
	(void)signal;
	tcsetattr(STDIN_FILENO, TCSANOW, &modes);
	_exit(EXIT_SYSTEM);
}

static void on_change(int signal)
{
	if (signal == SIGWINCH)
		resized = 1;
	else
		continued = 1;
	wake();
}

/* What is ignored stays so: nohup(1). */
static void handle(int signal, void (*handler)(int), int flags)
{
	struct sigaction old, new = { .sa_handler = handler, .sa_flags = flags };

	if (!sigaction(signal, NULL, &old) && old.sa_handler != SIG_IGN)
		sigaction(signal, &new, NULL);
}

/* Before curses sees them: it takes only those that nobody handles. SIGTSTP is its own. */
static int handle_signals(void)
{
	static const int quit[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT };
	size_t i;

	wakeup = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (wakeup < 0) {
		complain("eventfd: %s", strerror(errno));
		return EXIT_SYSTEM;
	}
	handle(SIGALRM, on_alarm, 0);
	for (i = 0; i < ARRAY_SIZE(quit); i++)
		handle(quit[i], on_quit, 0);
	handle(SIGWINCH, on_change, SA_RESTART);
	handle(SIGCONT, on_change, SA_RESTART);
	return EXIT_OK;
}

static int no_terminal(const char *why)
{
	complain("%s; for a line per interval, anywhere: ctxstat watch", why);
	return EXIT_SYSTEM;
}

/* Asked beforehand, as curses would say it in its own words, or not at all. */
static int check_terminal(const char *term)
{
	bool moves;
	int err;

	if (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO))
		return no_terminal("top needs a terminal for its input and its output");
	if (!term || !*term)
		return no_terminal("top has to know the terminal, but TERM is not set");
	if (setupterm(NULL, STDOUT_FILENO, &err) == OK) {
		moves = cursor_address && clear_screen;
		del_curterm(cur_term);
		if (moves)
			return EXIT_OK;
	}
	if (strlen(term) > CELL_MAX)
		return no_terminal("top cannot work on a terminal of the kind in TERM");
	complain("top cannot work on a terminal of the kind \"%s\" (TERM); for a line per interval, anywhere: ctxstat watch",
		 term);
	return EXIT_SYSTEM;
}

int term_begin(void)
{
	const char *term = getenv("TERM");
	int ret = check_terminal(term);

	if (ret)
		return ret;
	if (tcgetattr(STDIN_FILENO, &modes))
		return no_terminal("the terminal's modes cannot be read");
	ret = handle_signals();
	if (ret)
		return ret;
	setlocale(LC_CTYPE, "");
	/* The console knows how to read them, but its fonts have few of them. */
	utf8 = !strcmp(nl_langinfo(CODESET), "UTF-8") && strcmp(term, "linux");
	/* The size is what the terminal says, and not what it was once exported as. */
	use_env(FALSE);
	use_tioctl(TRUE);
	screen = newterm(NULL, stdout, stdin);
	keys = screen ? newpad(1, 1) : NULL;
	if (!keys)
		return no_terminal("top cannot work on this terminal");
	cbreak();
	noecho();
	nonl();
	curs_set(0);
	keypad(keys, TRUE);
	nodelay(keys, TRUE);
	set_escdelay(ESCAPE_DELAY);
	return EXIT_OK;
}

/* Ctrl-S may have stopped the output: it is let go by no longer meaning that. */
static void start_output(void)
{
	struct termios now;

	if (tcgetattr(STDIN_FILENO, &now) || !(now.c_iflag & IXON))
		return;
	now.c_iflag &= ~IXON;
	tcsetattr(STDIN_FILENO, TCSANOW, &now);
}

void term_end(void)
{
	if (screen) {
		alarm(PATIENCE);
		start_output();
		endwin();
		delwin(keys);
		delscreen(screen);
		alarm(0);
		screen = NULL;
	}
	if (wakeup >= 0)
		close(wakeup);
	wakeup = -1;
}

bool term_is_ready(void)
{
	struct pollfd fd = { .fd = STDOUT_FILENO, .events = POLLOUT };

	return poll(&fd, 1, 0) == 1 && fd.revents & POLLOUT;
}

static void take_size(void)
{
	struct winsize size;

	resized = 0;
	if (!ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) && size.ws_row && size.ws_col)
		resizeterm(size.ws_row, size.ws_col);
}

/* Return: whether a signal arrived, and what it means. */
static bool look_at_signals(enum event *event)
{
	uint64_t count;
	ssize_t n = read(wakeup, &count, sizeof(count));

	(void)n;
	if (quitting) {
		*event = EVENT_QUIT;
		return true;
	}
	if (!resized && !continued)
		return false;
	/* Who is stopped is not told of a new size. */
	take_size();
	/* Whatever wrote to the terminal meanwhile is overwritten. */
	if (continued)
		clearok(curscr, TRUE);
	continued = 0;
	*event = EVENT_RESIZE;
	return true;
}

/* Return: a key, or ERR. What curses makes of a new size is known already. */
static int next_key(void)
{
	int key;

	do {
		key = wgetch(keys);
	} while (key == KEY_RESIZE);
	return key;
}

/* Milliseconds, rounded up so that what is waited for is there. */
static int time_left(double until)
{
	double left = (until - monotonic()) * 1000;

	if (until < 0)
		return -1;
	return left <= 0 ? 0 : left >= INT32_MAX ? INT32_MAX : ceil(left);
}

enum event term_wait(double until, bool draw, int *key)
{
	bool readable = false;
	int nothing = 0;
	enum event event;

	for (;;) {
		struct pollfd fds[] = {
			{ .fd = STDIN_FILENO, .events = POLLIN },
			{ .fd = STDOUT_FILENO, .events = draw ? POLLOUT : 0 },
			{ .fd = wakeup, .events = POLLIN },
		};

		if (look_at_signals(&event))
			return event;
		*key = next_key();
		if (*key != ERR)
			return EVENT_KEY;
		/* Again there was something to read, and it was nothing: that is the end. */
		nothing += readable;
		if (nothing > 1)
			return EVENT_GONE;
		if (poll(fds, ARRAY_SIZE(fds), time_left(until)) < 0)
			continue;
		if ((fds[0].revents | fds[1].revents) & (POLLHUP | POLLERR | POLLNVAL))
			return EVENT_GONE;
		readable = fds[0].revents & POLLIN;
		if (readable || fds[2].revents)
			continue;
		return fds[1].revents ? EVENT_DRAW : EVENT_TIME;
	}
}

void term_update(void)
{
	wnoutrefresh(stdscr);
	doupdate();
}

bool term_is_utf8(void)
{
	return utf8;
}

bool term_has_colours(void)
{
	return has_colors();
}

/* Only where they are wanted: to start them is seen on some terminals. */
void term_set_colours(bool on)
{
	colours = on && has_colors();
	if (!colours || colours_started)
		return;
	colours_started = true;
	start_color();
	use_default_colors();
	init_pair(STYLE_WARNING, COLOR_YELLOW, -1);
	init_pair(STYLE_CRITICAL, COLOR_RED, -1);
}

static attr_t attributes(enum style style)
{
	switch (style) {
	case STYLE_TITLE:
		return A_BOLD;
	case STYLE_CHOSEN:
		return A_REVERSE;
	case STYLE_ZERO:
		return colours ? A_DIM : A_NORMAL;
	case STYLE_WARNING:
		return colours ? COLOR_PAIR(STYLE_WARNING) : A_NORMAL;
	case STYLE_CRITICAL:
		return A_BOLD | (colours ? COLOR_PAIR(STYLE_CRITICAL) : A_NORMAL);
	default:
		return A_NORMAL;
	}
}

/* How many bytes of a text take so many columns. */
static int bytes_of(const char *text, int width)
{
	int i;

	for (i = 0; text[i]; i++)
		if ((!utf8 || (text[i] & 0xc0) != 0x80) && !width--)
			break;
	return i;
}

void term_put(int y, int x, int width, enum style style, const char *text)
{
	if (y < 0 || y >= LINES || x < 0 || x >= COLS || width <= 0)
		return;
	attrset(attributes(style));
	mvaddnstr(y, x, text, bytes_of(text, width < COLS - x ? width : COLS - x));
	attrset(A_NORMAL);
}
