// Vectors as wide as the processor has them, for loops that a compiler would not see as such.
#pragma once

#include <cstring>

// WIDTH is in bytes; ROWS by two vectors are what a matrix product keeps in registers.
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
