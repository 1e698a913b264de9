// Vectors of the processor's full width, and matrix products with them.
#pragma once

#include <cstdint>
#include <cstring>
#include <vector>

// WIDTH is the vector size in bytes; a matrix product keeps ROWS x 2 vectors in registers.
#if defined(__AVX512F__)
#define WIDTH 64
#define ROWS 12
#elif defined(__AVX__)
#define WIDTH 32
#define ROWS 6
#else
#define WIDTH 16
#define ROWS 6
#endif

template <class T> struct Vector {
  typedef T type __attribute__((vector_size(WIDTH)));
};
template <class T> using vec = typename Vector<T>::type;
template <class T> constexpr long LANES = WIDTH / sizeof(T);

template <class T> inline vec<T> load(const T *from) {
  vec<T> value;
  std::memcpy(&value, from, sizeof value);
  return value;
}
template <class T> inline void store(T *to, vec<T> value) { std::memcpy(to, &value, sizeof value); }

// Channels that are computed together: two vectors.
template <class T> constexpr long PANEL = 2 * LANES<T>;

// A buffer of the thread that is reused by every call, so that it stays in the cache; aligned to a cache line.
template <class T> T *scratch(int which, long size) {
  struct alignas(64) Line {
    T at[64 / sizeof(T)];
  };
  static thread_local std::vector<Line> kept[4];
  const size_t lines = size * sizeof(T) / sizeof(Line) + 1;
  if (kept[which].size() < lines) kept[which].resize(lines);
  return kept[which].data()->at;
}

// M rows of a matrix product: to[m] = sum over k of left[m * ACROSS + k * ALONG] * right[k], right being (K, PANEL). On
// the left, k goes in runs of `run` elements that start `jump` apart. All sums stay in registers.
template <class T, int M, long ACROSS, long ALONG>
inline void rows(const T *left, long run, long jump, const T *right, long depth, T *to, bool adds) {
  vec<T> low[M] = {}, high[M] = {};
  if (adds)
#pragma GCC unroll 16
    for (int m = 0; m < M; m++) low[m] = load(to + m * PANEL<T>), high[m] = load(to + m * PANEL<T> + LANES<T>);
  do {
    const T *at = left, *end = right + run * PANEL<T>;
#pragma GCC unroll 1
    do {
      const vec<T> one = load(right), two = load(right + LANES<T>);
#pragma GCC unroll 16
      for (int m = 0; m < M; m++) {
        const T factor = at[m * ACROSS];
        low[m] += factor * one, high[m] += factor * two;
      }
      at += ALONG, right += PANEL<T>;
    } while (right < end);
    left += jump, depth -= run;
  } while (depth > 0);
#pragma GCC unroll 16
  for (int m = 0; m < M; m++) store(to + m * PANEL<T>, low[m]), store(to + m * PANEL<T> + LANES<T>, high[m]);
}

// `count` rows of a matrix product, ROWS at a time.
template <class T, long ACROSS, long ALONG, int M = ROWS>
void all_rows(long count, const T *left, long run, long jump, const T *right, long depth, T *to, bool adds) {
  for (; count >= M; count -= M, left += M * ACROSS, to += M * PANEL<T>)
    rows<T, M, ACROSS, ALONG>(left, run, jump, right, depth, to, adds);
  if constexpr (M > 1)
    if (count) all_rows<T, ACROSS, ALONG, M - 1>(count, left, run, jump, right, depth, to, adds);
}
