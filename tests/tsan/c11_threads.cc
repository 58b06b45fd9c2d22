// SPDX-License-Identifier: Apache-2.0
// C11 threads by way of pthreads. TSan watches pthread_*, and of a thread that thrd_create made it knows
// nothing: it crashes in it. librdkafka uses C11 threads, so in TSan's programs these take the place of
// glibc's (the programs export their symbols). glibc's types of both have the same size and layout.
#include <pthread.h>
#include <threads.h>

#include <cerrno>
#include <memory>

static_assert(sizeof(mtx_t) == sizeof(pthread_mutex_t) && sizeof(cnd_t) == sizeof(pthread_cond_t));

namespace {

pthread_mutex_t* of(mtx_t* mutex) {
  return reinterpret_cast<pthread_mutex_t*>(mutex);
}
pthread_cond_t* of(cnd_t* condition) {
  return reinterpret_cast<pthread_cond_t*>(condition);
}
int answer(int error) {
  switch (error) {
    case 0:
      return thrd_success;
    case ETIMEDOUT:
      return thrd_timedout;
    case EBUSY:
      return thrd_busy;
    case ENOMEM:
      return thrd_nomem;
    default:
      return thrd_error;
  }
}

struct Start {
  thrd_start_t function;
  void* argument;
};
void* run(void* opaque) {
  const std::unique_ptr<Start> start(static_cast<Start*>(opaque));
  const long result = start->function(start->argument);
  return reinterpret_cast<void*>(result);
}

}  // namespace

extern "C" {

int thrd_create(thrd_t* thread, thrd_start_t function, void* argument) {
  auto start = std::make_unique<Start>(Start{function, argument});
  const int error = pthread_create(thread, nullptr, run, start.get());
  if (error == 0) static_cast<void>(start.release());
  return answer(error);
}
int thrd_join(thrd_t thread, int* result) {
  void* value = nullptr;
  const int error = pthread_join(thread, &value);
  if (result) *result = static_cast<int>(reinterpret_cast<long>(value));
  return answer(error);
}
int thrd_detach(thrd_t thread) {
  return answer(pthread_detach(thread));
}

int mtx_init(mtx_t* mutex, int type) {
  pthread_mutexattr_t attributes;
  pthread_mutexattr_init(&attributes);
  pthread_mutexattr_settype(&attributes,
                            type & mtx_recursive ? PTHREAD_MUTEX_RECURSIVE : PTHREAD_MUTEX_NORMAL);
  const int error = pthread_mutex_init(of(mutex), &attributes);
  pthread_mutexattr_destroy(&attributes);
  return answer(error);
}
int mtx_lock(mtx_t* mutex) {
  return answer(pthread_mutex_lock(of(mutex)));
}
int mtx_trylock(mtx_t* mutex) {
  return answer(pthread_mutex_trylock(of(mutex)));
}
int mtx_timedlock(mtx_t* mutex, const timespec* until) {
  return answer(pthread_mutex_timedlock(of(mutex), until));
}
int mtx_unlock(mtx_t* mutex) {
  return answer(pthread_mutex_unlock(of(mutex)));
}
void mtx_destroy(mtx_t* mutex) {
  pthread_mutex_destroy(of(mutex));
}

int cnd_init(cnd_t* condition) {
  return answer(pthread_cond_init(of(condition), nullptr));
}
int cnd_signal(cnd_t* condition) {
  return answer(pthread_cond_signal(of(condition)));
}
int cnd_broadcast(cnd_t* condition) {
  return answer(pthread_cond_broadcast(of(condition)));
}
int cnd_wait(cnd_t* condition, mtx_t* mutex) {
  return answer(pthread_cond_wait(of(condition), of(mutex)));
}
int cnd_timedwait(cnd_t* condition, mtx_t* mutex, const timespec* until) {
  return answer(pthread_cond_timedwait(of(condition), of(mutex), until));
}
void cnd_destroy(cnd_t* condition) {
  pthread_cond_destroy(of(condition));
}

}  // extern "C"
