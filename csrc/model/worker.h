// One thread's view of a pass, shared by the files that make up the graph.
#pragma once

#include <chrono>
#include <initializer_list>

#include "model/transformer.h"

namespace dotori {

constexpr int kMostExperts = 4096;  // that read_config lets through

struct Worker {
  Pass& pass;
  int thread;
  int begin, end;   // rows of the chunk that this thread prepares; of a single token every thread prepares its own copy
  float* residual;  // [T, D] or [D]
  RowBuffer rows;   // inputs that this thread prepares and, after sync_rows, multiplies with
  std::chrono::steady_clock::time_point since{};
};

struct Product {
  const Matrix& w;
  Inputs x;
  float* y;
  int64_t stride;
};

inline bool is_single(const Worker& w) { return w.pass.count == 1; }

inline Worker make_worker(Pass& p, int thread) {
  Worker w{p, thread, 0, 1, nullptr, {}};
  if (p.count == 1) {
    w.residual = p.activations.own_residual[thread];
    w.rows = p.activations.own[thread];
  } else {
    const Share share = share_of(p.count, thread, p.pool.size);
    w.begin = share.begin;
    w.end = share.end;
    w.residual = p.activations.residual;
    w.rows = p.activations.rows;
  }
  if (p.profile) w.since = std::chrono::steady_clock::now();
  return w;
}

inline const Lane& lane_of(const Pass& p, int token) { return p.lanes[p.activations.lane[token]]; }
inline int position_of(const Pass& p, int token) {
  const Lane& lane = lane_of(p, token);
  return lane.cache->length + token - lane.first;
}

inline Inputs inputs_of(const RowBuffer& rows, int first, int tokens, int cols) {
  const int64_t at = static_cast<int64_t>(first) * cols;
  return {rows.values + at, rows.q + at, rows.scale + at / 32, rows.sum + at / 16, tokens, cols};
}

// The int8 form of row `row`, whose float32 form is in place.
inline void quantize_row(const Kernels& kernels, const RowBuffer& rows, int row, int cols) {
  const int64_t at = static_cast<int64_t>(row) * cols;
  kernels.quantize(rows.values + at, cols, rows.q + at, rows.scale + at / 32, rows.sum + at / 16);
}

// Rows that threads prepared for each other are complete after it.
inline void sync_rows(Worker& w) {
  if (!is_single(w)) barrier(w.pass.pool);
}

// Each thread takes the panels that make up its share of the products' bytes.
void multiply(Worker& w, std::initializer_list<Product> products);

// Thread 0 books the time since the last mark under `op`.
void mark(Worker& w, Profile::Op op);

// The experts' half of a layer: routing, then every chosen expert's output added to the residual stream.
void choose_experts(Worker& w);
void run_experts(Worker& w, int layer);

// The residual stream takes what a block left in activations.block.
void add_block(Worker& w);

}  // namespace dotori
