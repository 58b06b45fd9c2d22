// SPDX-License-Identifier: Apache-2.0
// What is said once the running batch is on disk, or could not be put there.
#pragma once
#include <functional>
#include <vector>

#include "base/result.h"

namespace refrain::node {

/// One thread. Nothing is answered before the write that it rests on.
class Answers {
 public:
  using Answer = std::function<void(const Result<void>& written)>;

  void after_write(Answer answer) { waiting_.push_back(std::move(answer)); }

  void give(const Result<void>& written) {
    std::vector<Answer> due;
    due.swap(waiting_);
    for (Answer& answer : due) answer(written);
  }

  bool empty() const { return waiting_.empty(); }

 private:
  std::vector<Answer> waiting_;
};

}  // namespace refrain::node
