// SPDX-License-Identifier: Apache-2.0
// The way back from the node's thread to the I/O thread: answers that come together cost one wake-up
// together.
#pragma once
#include <functional>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "node/node.h"

namespace refrain::server {

class AnswerQueue : public std::enable_shared_from_this<AnswerQueue> {
 public:
  /// `wake` asks the I/O thread to call drain() soon; it is called from any thread, once per batch.
  explicit AnswerQueue(std::function<void()> wake) : wake_(std::move(wake)) {}

  /// A Done for the node that runs `on_answer` on the I/O thread; after close() it runs nothing.
  template <class T, class F>
  node::Done<T> deliver(F on_answer) {
    auto run = std::make_shared<F>(std::move(on_answer));
    return [self = shared_from_this(), run = std::move(run)](Result<T> answer) {
      self->push([run, answer = std::move(answer)]() mutable { (*run)(std::move(answer)); });
    };
  }

  void push(std::function<void()> answer);
  void drain();  // I/O thread
  void close();  // I/O thread; what is queued is dropped

 private:
  std::mutex mutex_;
  std::vector<std::function<void()>> queued_;
  std::vector<std::function<void()>> draining_;
  std::function<void()> wake_;
  bool closed_ = false;
};

}  // namespace refrain::server
