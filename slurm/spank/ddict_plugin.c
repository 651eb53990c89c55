// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// A plugin for Slurm: "srun --ddict[=64G]" and "#SBATCH --ddict[=64G]" have a dictionary before the step
// begins.
//
// srun runs "ddict-launch serve" as a child of its own before it launches the tasks. That ends when the pipe
// to it is closed: when srun ends, in whatever way.
//
// sbatch: the process that is to become the job's script runs "ddict-launch start" first. It is the script's
// user by then, and in its job, with which all ends that it starts. When the script has ended, "ddict-launch
// stop" is run as that user, so that the dictionary ends in good order.
//
// All of it runs inside srun, sbatch and slurmstepd: so it is of C and links nothing but what these have. For
// whoever does not ask for a dictionary it starts no process and sets no variable. Nothing of ddict is run as
// root for another user.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <slurm/slurm.h>
#include <slurm/spank.h>

SPANK_PLUGIN(ddict, 1)

extern char** environ;

enum {
    size_bytes_max = 32,
    state_bytes_max = 32,
    path_bytes_max = 4096,
    line_bytes_max = 8192,
    start_seconds = 60,  // of ddict-launch, unless DDICT_TIMEOUT says otherwise
    stop_ms = 20000,     // of ddict-launch stop; Slurm drains a node whose step is not over after a minute
    killed_ms = 1000,    // until what was killed is no longer waited for
    grace_seconds = 10,  // it counts them itself, and says why it has given up
    timeout_seconds_max = 1000 * 1000
};

// Set for all that runs inside of what asked for a dictionary. Slurm hands an option on to every srun in
// there, to those by which ddict-launch starts the managers too: with this they share the dictionary, and
// start none. srun hands variables of this prefix on whatever it exports, and so does ddict-launch.
static const char within[] = "SLURM_SPANK_DDICT";  // STARTED@JOB
static const char started[] = "started";
static const char failed[] = "failed";

// sbatch hands an option on in the environment, of which --export may leave only what begins with SLURM_. So
// it is there twice, until the script begins: a job that the script submits has not asked for anything.
static const char size_of_job[] = "SLURM_SPANK_DDICT_SIZE";
static const char* const options_of_job[] = {size_of_job, "_SLURM_SPANK_OPTION_ddict_ddict",
                                             "SLURM_SPANK__SLURM_SPANK_OPTION_ddict_ddict"};

static bool asked;
static char size[size_bytes_max];

// Of srun: the dictionary that it has started.
static pid_t server = -1;
static int lifeline = -1;
static pthread_t relay;
static bool is_relayed;

static bool looks_like_size(const char* text) {
    const char* const unit = text + strspn(text, "0123456789.");
    return text[0] >= '0' && text[0] <= '9' && strlen(text) < size_bytes_max &&
           (unit[0] == '\0' || (strchr("KMGTkmgt", unit[0]) != NULL && unit[1] == '\0'));
}

static int take_option(int value, const char* text, int remote) {
    (void)value;
    if (!remote && strcmp(program_invocation_short_name, "salloc") == 0) {
        slurm_error(
            "--ddict is an option of srun and sbatch; in a shell of salloc run: "
            "eval \"$(ddict-launch start --export)\"");
        return -1;
    }
    // Without a size, Slurm hands over no text, or of sbatch, by its environment, "(null)".
    const bool has_size = text != NULL && text[0] != '\0' && strcmp(text, "(null)") != 0;
    if (has_size && !looks_like_size(text)) {
        slurm_error("--ddict: invalid size '%.40s': write for example 2G, 512M or 1.5G", text);
        return -1;
    }
    size[0] = '\0';
    if (has_size) strcpy(size, text);
    asked = true;
    if (spank_context() == S_CTX_ALLOCATOR) setenv(size_of_job, size, 1);
    return 0;
}

static struct spank_option option = {
    .name = "ddict",
    .arginfo = "[SIZE]",
    .usage =
        "start a dictionary of SIZE (default: DDICT_TOTAL_MEM, or 256M) in the memory of the job's nodes "
        "first",
    .has_arg = 2,
    .val = 0,
    .cb = take_option,
};

int slurm_spank_init(spank_t spank, int argc, char* argv[]) {
    (void)argc;
    (void)argv;
    const spank_context_t context = spank_context();
    if (context != S_CTX_LOCAL && context != S_CTX_ALLOCATOR && context != S_CTX_REMOTE) return 0;
    return spank_option_register(spank, &option) == ESPANK_SUCCESS ? 0 : -1;
}

static const char* value_in(char** environment, const char* name) {
    const size_t length = strlen(name);
    for (; environment != NULL && *environment != NULL; ++environment) {
        if (strncmp(*environment, name, length) == 0 && (*environment)[length] == '=')
            return *environment + length + 1;
    }
    return NULL;
}

static void describe(spank_t spank, const char* state, char text[state_bytes_max]) {
    uint32_t job = 0;
    spank_get_item(spank, S_JOB_ID, &job);
    snprintf(text, state_bytes_max, "%s@%u", state, (unsigned)job);
}

// Whether this job has come so far: what another job has left in the environment says nothing.
static bool is(spank_t spank, char** environment, const char* state) {
    char text[state_bytes_max];
    describe(spank, state, text);
    const char* const found = value_in(environment, within);
    return found != NULL && strcmp(found, text) == 0;
}

// The user's own (DDICT_LAUNCH), that of plugstack.conf (launch=PATH), or the one of the prefix that this
// plugin is in.
static bool find_program(char** environment, int argc, char* argv[], char path[path_bytes_max]) {
    const char* named = value_in(environment, "DDICT_LAUNCH");
    for (int i = 0; i < argc && (named == NULL || named[0] == '\0'); ++i) {
        if (strncmp(argv[i], "launch=", 7) == 0) named = argv[i] + 7;
    }
    int length = 0;
    if (named != NULL && named[0] != '\0') {
        length = snprintf(path, path_bytes_max, "%s", named);
    } else {
        Dl_info plugin;
        const char* const file =
            dladdr((void*)&asked, &plugin) != 0 && plugin.dli_fname != NULL ? plugin.dli_fname : "";
        const char* const slash = strrchr(file, '/');
        length = snprintf(path, path_bytes_max, "%.*s%s/ddict-launch",
                          slash == NULL ? 0 : (int)(slash - file + 1), file, DDICT_FROM_PLUGIN_TO_PROGRAMS);
    }
    return length > 0 && length < path_bytes_max;
}

// In a process group of its own, so that Ctrl-C is srun's to handle; with no descriptor but the standard
// ones, and no signal blocked or ignored. Returns 0 or the error.
static int run(char* const arguments[], char** environment, const int standard[3], pid_t* pid) {
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t signals;
    posix_spawn_file_actions_init(&actions);
    posix_spawnattr_init(&attributes);
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; ++fd)
        posix_spawn_file_actions_adddup2(&actions, standard[fd], fd);
    posix_spawn_file_actions_addclosefrom_np(&actions, STDERR_FILENO + 1);
    sigemptyset(&signals);
    posix_spawnattr_setsigmask(&attributes, &signals);
    sigfillset(&signals);
    posix_spawnattr_setsigdefault(&attributes, &signals);
    posix_spawnattr_setflags(&attributes,
                             POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    const int failure = posix_spawn(pid, arguments[0], &actions, &attributes, arguments, environment);
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attributes);
    return failure;
}

static long long now_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (long long)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static long long deadline_ms(char** environment) {
    const char* const text = value_in(environment, "DDICT_TIMEOUT");
    double seconds = text == NULL ? 0 : strtod(text, NULL);
    if (!(seconds > 0 && seconds < timeout_seconds_max)) seconds = start_seconds;
    return now_ms() + (long long)((seconds + grace_seconds) * 1000);
}

// The first line from `fd`. False if the other side closes before it ends, or at the deadline.
static bool read_line(int fd, long long deadline, char line[line_bytes_max]) {
    for (size_t length = 0; length + 1 < line_bytes_max;) {
        const long long left = deadline - now_ms();
        if (left <= 0) return false;
        struct pollfd waiting = {.fd = fd, .events = POLLIN};
        if (poll(&waiting, 1, left < 60000 ? (int)left : 60000) <= 0) continue;
        const ssize_t got = read(fd, line + length, 1);
        if (got < 0 && errno == EINTR) continue;
        const bool ends = got <= 0 || line[length] == '\n';
        line[ends ? length : ++length] = '\0';
        if (ends) return got > 0;
    }
    return false;
}

static void wait_for(pid_t pid, long long deadline) {
    int status = 0;
    while (waitpid(pid, &status, WNOHANG) == 0) {
        // Where not even that ends it, since its file system hangs, nobody is to hang with it.
        if (now_ms() > deadline + killed_ms) return;
        if (now_ms() > deadline) kill(-pid, SIGKILL);
        poll(NULL, 0, 10);
    }
}

// Runs ddict-launch and reads the first line that it prints; what it prints to `errors` is the user's to see.
static bool ask_launcher(const char* verb, const char* program, char** environment, int in, int errors,
                         pid_t* pid, char line[line_bytes_max]) {
    int answer[2];
    line[0] = '\0';
    if (pipe2(answer, O_CLOEXEC) != 0) {
        snprintf(line, line_bytes_max, "cannot make a pipe: %s", strerror(errno));
        return false;
    }
    char* arguments[] = {(char*)program, (char*)verb, "--total-mem", size, NULL};
    if (size[0] == '\0') arguments[2] = NULL;
    const int standard[3] = {in, answer[1], errors};
    const int failure = run(arguments, environment, standard, pid);
    close(answer[1]);
    bool done = false;
    if (failure != 0) {
        snprintf(line, line_bytes_max, "cannot run %.3000s: %s; plugstack.conf can name it: launch=PATH",
                 program, strerror(failure));
    } else {
        done = read_line(answer[0], deadline_ms(environment), line);
    }
    close(answer[0]);
    return done;
}

// What ddict-launch says goes on to srun's user, but for that the managers' step is over: where srun has made
// the job, the job is over before srun comes to slurm_spank_exit(), and that its steps end with it is no
// error.
static void* relay_errors(void* argument) {
    FILE* const errors = argument;
    char* line = NULL;
    size_t capacity = 0;
    while (getline(&line, &capacity, errors) >= 0)
        if (strncmp(line, "slurmstepd-", 11) != 0 || strstr(line, "*** STEP ") == NULL) fputs(line, stderr);
    free(line);
    fclose(errors);
    return NULL;
}

// Returns where ddict-launch is to write its errors: to the relay, or where that cannot be had, to srun's.
static int start_relay(void) {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) return STDERR_FILENO;
    FILE* const errors = fdopen(ends[0], "r");
    sigset_t all;
    sigset_t before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);  // srun's signals are for its own threads
    is_relayed = errors != NULL && pthread_create(&relay, NULL, relay_errors, errors) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (is_relayed) return ends[1];
    close(ends[1]);
    if (errors != NULL) {
        fclose(errors);
    } else {
        close(ends[0]);
    }
    return STDERR_FILENO;
}

// In srun, before it launches the tasks.
int slurm_spank_local_user_init(spank_t spank, int argc, char* argv[]) {
    if (!asked || server > 0) return 0;  // a job of several components comes here for each
    if (is(spank, environ, started)) return 0;
    char state[state_bytes_max];
    describe(spank, started, state);
    setenv(within, state, 1);
    char program[path_bytes_max];
    char line[line_bytes_max] = "the path of ddict-launch is too long";
    int ends[2] = {-1, -1};
    bool done = false;
    if (find_program(environ, argc, argv, program)) {
        if (pipe2(ends, O_CLOEXEC) != 0) {
            snprintf(line, sizeof line, "cannot make a pipe: %s", strerror(errno));
        } else {
            const int errors = start_relay();
            done = ask_launcher("serve", program, environ, ends[0], errors, &server, line) &&
                   strncmp(line, "ready ", 6) == 0;
            close(ends[0]);
            if (is_relayed) close(errors);
        }
    }
    lifeline = ends[1];
    if (done) {
        setenv("DDICT_HANDLE", line + 6, 1);
        setenv("SLURM_DDICT_HANDLE", line + 6, 1);
        setenv("DDICT_NAME", "default", 0);
        return 0;
    }
    slurm_error("--ddict: the dictionary could not be started, so nothing is run: %s",
                strncmp(line, "error ", 6) == 0 ? line + 6
                : line[0] != '\0'               ? line
                                                : "ddict-launch said nothing");
    // Ends srun where plugstack.conf says "required". Where it does not, each task sees this, and fails.
    describe(spank, failed, state);
    setenv(within, state, 1);
    return -1;
}

// In srun, when its step is over.
int slurm_spank_exit(spank_t spank, int argc, char* argv[]) {
    (void)spank;
    (void)argc;
    (void)argv;
    if (server <= 0 || spank_context() != S_CTX_LOCAL) return 0;
    close(lifeline);
    wait_for(server, deadline_ms(environ));
    server = -1;
    struct timespec soon;
    clock_gettime(CLOCK_REALTIME, &soon);
    ++soon.tv_sec;  // all that could still write has ended
    if (is_relayed) pthread_timedjoin_np(relay, NULL, &soon);
    return 0;
}

static char** environment_of(spank_t spank) {
    char** environment = NULL;
    return spank_get_item(spank, S_JOB_ENV, &environment) == ESPANK_SUCCESS ? environment : NULL;
}

static bool is_job_script(spank_t spank) {
    uint32_t step = 0;
    return spank_get_item(spank, S_JOB_STEPID, &step) == ESPANK_SUCCESS && step == SLURM_BATCH_SCRIPT;
}

static void take_option_of_job(spank_t spank) {
    const char* const text = value_in(environment_of(spank), size_of_job);
    if (text != NULL) take_option(0, text, 1);
}

// In the process that becomes the script of a job: by its user, and with what it prints going where the
// script's output goes.
static void start_for_script(spank_t spank, int argc, char* argv[]) {
    char program[path_bytes_max];
    char line[line_bytes_max] = "its environment cannot be changed, or the path of ddict-launch is too long";
    char state[state_bytes_max];
    pid_t pid = -1;
    const int in = open("/dev/null", O_RDONLY | O_CLOEXEC);
    describe(spank, started, state);
    const bool marked = spank_setenv(spank, within, state, 1) == ESPANK_SUCCESS;
    char** const environment = environment_of(spank);  // a variable that is set may have moved it
    if (marked && find_program(environment, argc, argv, program) &&
        ask_launcher("start", program, environment, in, STDERR_FILENO, &pid, line)) {
        wait_for(pid, deadline_ms(environment));
        close(in);
        spank_setenv(spank, "DDICT_HANDLE", line, 1);
        spank_setenv(spank, "SLURM_DDICT_HANDLE", line, 1);
        spank_setenv(spank, "DDICT_NAME", "default", 0);
        return;
    }
    // Whether a plugin's failure is the step's is for plugstack.conf to say; but a script that asked for a
    // dictionary and has none is not to run. This process is the script's alone.
    fprintf(stderr, "ddict: the dictionary of --ddict could not be started, so the script is not run%s%s\n",
            line[0] != '\0' ? ": " : "", line);
    fflush(stderr);
    _exit(EXIT_FAILURE);
}

// In the process that becomes a task.
int slurm_spank_task_init(spank_t spank, int argc, char* argv[]) {
    const bool is_script = is_job_script(spank);
    if (is_script) take_option_of_job(spank);
    // It was for this job, or this step: not for what is submitted from within.
    for (size_t i = 0; i < sizeof options_of_job / sizeof *options_of_job; ++i)
        spank_unsetenv(spank, options_of_job[i]);
    if (is_script) {
        if (asked) start_for_script(spank, argc, argv);
    } else if (asked && is(spank, environment_of(spank), failed)) {
        _exit(EXIT_FAILURE);
    }
    return 0;
}

// From here on this process is the job's user, for good. False if that cannot be had.
static bool become_user(spank_t spank) {
    uid_t uid = 0;
    gid_t gid = 0;
    gid_t* groups = NULL;
    int count = 0;
    if (spank_get_item(spank, S_JOB_UID, &uid) != ESPANK_SUCCESS ||
        spank_get_item(spank, S_JOB_GID, &gid) != ESPANK_SUCCESS ||
        spank_get_item(spank, S_JOB_SUPPLEMENTARY_GIDS, &groups, &count) != ESPANK_SUCCESS)
        return false;
    if (getuid() == uid && geteuid() == uid && uid != 0) return true;  // a slurmd of this user's own
    return setgroups((size_t)count, groups) == 0 && setgid(gid) == 0 && setuid(uid) == 0;
}

// Runs "ddict-launch stop" as the job's user, whatever slurmstepd is.
static void stop_for_script(spank_t spank, const char* program, char** environment) {
    // Of this job alone: without it, one of another job might be meant.
    const char* const job = value_in(environment, "SLURM_JOB_ID");
    const char* const name = value_in(environment, "DDICT_NAME");
    if (job == NULL) return;
    const pid_t pid = fork();
    if (pid == 0) {
        setpgid(0, 0);
        const int nothing = open("/dev/null", O_RDWR | O_CLOEXEC);
        sigset_t none;
        sigemptyset(&none);
        sigprocmask(SIG_SETMASK, &none, NULL);
        if (nothing < 0 || !become_user(spank)) _exit(EXIT_FAILURE);
        for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; ++fd)
            if (dup2(nothing, fd) < 0) _exit(EXIT_FAILURE);
        closefrom(STDERR_FILENO + 1);
        execle(program, program, "stop", "--job", job, "--name", name != NULL ? name : "default", (char*)NULL,
               environment);
        _exit(EXIT_FAILURE);
    }
    // slurmstepd waits for this, and the managers end with the job in any case: no longer than Slurm bears
    // it.
    if (pid > 0) {
        setpgid(pid, pid);
        wait_for(pid, now_ms() + stop_ms);
        kill(-pid, SIGKILL);
    }
}

// In slurmstepd, when a task has ended: that of a job which is its script.
int slurm_spank_task_exit(spank_t spank, int argc, char* argv[]) {
    if (!is_job_script(spank)) return 0;
    take_option_of_job(spank);
    char** const environment = environment_of(spank);
    char program[path_bytes_max];
    if (asked && find_program(environment, argc, argv, program)) stop_for_script(spank, program, environment);
    return 0;
}
