// SPDX-License-Identifier: Apache-2.0
#include "server/answer_queue.h"

namespace refrain::server {

void AnswerQueue::push(std::function<void()> answer) {
  std::lock_guard lock(mutex_);
  if (closed_) return;
  queued_.push_back(std::move(answer));
  // Under the lock, so that close() can promise that nobody is woken after it.
  if (queued_.size() == 1) wake_();
}

void AnswerQueue::drain() {
  {
    std::lock_guard lock(mutex_);
    draining_.swap(queued_);
  }
  for (auto& answer : draining_) answer();
  draining_.clear();
}

void AnswerQueue::close() {
  std::vector<std::function<void()>> dropped;
  std::lock_guard lock(mutex_);
  closed_ = true;
  dropped.swap(queued_);
}

}  // namespace refrain::server
