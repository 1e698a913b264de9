// Winograd's F(4 x 4, 3 x 3) (see winograd.py) for images (N, H, W, C) and taps (O, 9, C), the weights of the
// convolution. Channels are processed in panels of PANEL.
//
// Layout: transformed tiles are (36 places, C / PANEL, tiles, PANEL), a panel's transformed weights (36, K, PANEL). A
// gap after each place keeps the places from sharing cache sets. A panel of results is transformed back while it is in
// the cache.

#pragma once

#include <algorithm>

#include "vector.h"

namespace winograd {

constexpr int TILE = 4, SIDE = 6, PLACES = 36, TAPS = 9;

template <int R, int C> struct Matrix {
  double at[R][C];
};

template <int R, int C> constexpr Matrix<C, R> turned(const Matrix<R, C> &matrix) {
  Matrix<C, R> result{};
  for (int r = 0; r < R; r++)
    for (int c = 0; c < C; c++) result.at[c][r] = matrix.at[r][c];
  return result;
}

// The paper's B^T, A^T and G. Gradients are transformed by their transposes.
constexpr Matrix<6, 6> INPUT = {{{4, 0, -5, 0, 1, 0}, {0, -4, -4, 1, 1, 0}, {0, 4, -4, -1, 1, 0}, {0, -2, -1, 2, 1, 0},
    {0, 2, -1, -2, 1, 0}, {0, 4, 0, -5, 0, 1}}};
constexpr Matrix<4, 6> OUTPUT = {{{1, 1, 1, 1, 1, 0}, {0, 1, -1, 2, -2, 0}, {0, 1, 1, 4, 4, 0}, {0, 1, -1, 8, -8, 1}}};
constexpr Matrix<6, 3> WEIGHT = {{{1. / 4, 0, 0}, {-1. / 6, -1. / 6, -1. / 6}, {-1. / 6, 1. / 6, -1. / 6},
    {1. / 24, 1. / 12, 1. / 6}, {1. / 24, -1. / 12, 1. / 6}, {0, 0, 1}}};
constexpr auto INPUT_BACK = turned(INPUT);
constexpr auto OUTPUT_BACK = turned(OUTPUT);
constexpr auto WEIGHT_BACK = turned(WEIGHT);

// `matrix` times the vectors from[c * step], written to to[r * apart]; unrolled, without the zeros of the matrix.
template <class T, int R, int C> inline __attribute__((always_inline)) void times(
    const Matrix<R, C> &matrix, const vec<T> *from, int step, vec<T> *to, int apart) {
#pragma GCC unroll 6
  for (int r = 0; r < R; r++) {
    vec<T> sum{};
#pragma GCC unroll 6
    for (int c = 0; c < C; c++)
      if (matrix.at[r][c] != 0) sum += T(matrix.at[r][c]) * from[c * step];
    to[r * apart] = sum;
  }
}

// matrix * from * matrix^T: from (C, C) to (R, R).
template <class T, int R, int C>
inline __attribute__((always_inline)) void both_sides(const Matrix<R, C> &matrix, const vec<T> *from, vec<T> *to) {
  vec<T> half[R * C];
  for (int column = 0; column < C; column++) times<T>(matrix, from + column, C, half + column, C);
  for (int row = 0; row < R; row++) times<T>(matrix, half + row * C, 1, to + row * R, 1);
}

struct Grid {
  long images, height, width, tall, wide, tiles;
  Grid(long images, long height, long width)
      : images(images),
        height(height),
        width(width),
        tall(height / TILE),
        wide(width / TILE),
        tiles(images * tall * wide) {}
  // The top left pixel of a tile's outputs.
  long corner(long tile) const { return (tile / wide * width + tile % wide) * TILE; }
  // The pixel that a tile reads at a place; -1 outside the image.
  long pixel(long tile, int place) const {
    const long down = place / SIDE - 1, right = place % SIDE - 1;
    const long row = tile / wide % tall * TILE + down, column = tile % wide * TILE + right;
    const bool inside = row >= 0 && row < height && column >= 0 && column < width;
    return inside ? corner(tile) + down * width + right : -1;
  }
};

// Elements from one place to the next: `count` and a gap.
template <class T> constexpr long apart(long count) { return count + PANEL<T>; }

template <class T> inline void load_places(const T *from, long places, vec<T> *all) {
  for (int place = 0; place < PLACES; place++) all[place] = load(from + place * places);
}
template <class T> inline void store_places(const vec<T> *all, T *to, long places) {
  for (int place = 0; place < PLACES; place++) store(to + place * places, all[place]);
}

// Transforms images (N, H, W, C) to tiles.
template <class T> void cut(const T *images, Grid grid, long channels, T *tiles) {
  for (long tile = 0; tile < grid.tiles; tile++)
    for (long channel = 0; channel < channels; channel += LANES<T>) {
      vec<T> pixels[PLACES], all[PLACES];
      for (int place = 0; place < PLACES; place++) {
        const long pixel = grid.pixel(tile, place);
        pixels[place] = pixel < 0 ? vec<T>{} : load(images + pixel * channels + channel);
      }
      both_sides<T>(INPUT, pixels, all);
      T *to = tiles + (channel / PANEL<T> * grid.tiles + tile) * PANEL<T> + channel % PANEL<T>;
      store_places(all, to, apart<T>(grid.tiles * channels));
    }
}

// Transforms the gradients of the outputs (N, H, W, O) to (36, O / PANEL, tiles, PANEL).
template <class T> void spread(const T *gradients, Grid grid, long outs, T *tiles) {
  for (long tile = 0; tile < grid.tiles; tile++)
    for (long out = 0; out < outs; out += LANES<T>) {
      const T *from = gradients + grid.corner(tile) * outs + out;
      vec<T> pixels[TILE * TILE], all[PLACES];
      for (int place = 0; place < TILE * TILE; place++)
        pixels[place] = load(from + (place / TILE * grid.width + place % TILE) * outs);
      both_sides<T>(OUTPUT_BACK, pixels, all);
      T *to = tiles + (out / PANEL<T> * grid.tiles + tile) * PANEL<T> + out % PANEL<T>;
      store_places(all, to, apart<T>(grid.tiles * outs));
    }
}

// Transforms the products (36, tiles, PANEL) of one panel of outputs back to (N, H, W, O).
template <class T> void put(const T *products, Grid grid, long outs, T *results) {
  for (long tile = 0; tile < grid.tiles; tile++) {
    for (int place = 0; place < TILE * TILE; place++)
      __builtin_prefetch(results + (grid.corner(tile + 2) + place / TILE * grid.width + place % TILE) * outs, 1);
    for (long lane = 0; lane < PANEL<T>; lane += LANES<T>) {
      vec<T> all[PLACES], pixels[TILE * TILE];
      load_places(products + tile * PANEL<T> + lane, apart<T>(grid.tiles * PANEL<T>), all);
      both_sides<T>(OUTPUT, all, pixels);
      T *to = results + grid.corner(tile) * outs + lane;
      for (int place = 0; place < TILE * TILE; place++)
        store(to + (place / TILE * grid.width + place % TILE) * outs, pixels[place]);
    }
  }
}

// Transforms the products (36, tiles, PANEL) of one panel of input channels back to the gradients of the images
// (N, H, W, C), adding up where tiles overlap.
template <class T> void join(const T *products, Grid grid, long channels, T *gradients) {
  for (long pixel = 0; pixel < grid.tiles * TILE * TILE; pixel++)
    std::fill_n(gradients + pixel * channels, PANEL<T>, T(0));
  for (long tile = 0; tile < grid.tiles; tile++)
    for (long lane = 0; lane < PANEL<T>; lane += LANES<T>) {
      vec<T> all[PLACES], pixels[PLACES];
      load_places(products + tile * PANEL<T> + lane, apart<T>(grid.tiles * PANEL<T>), all);
      both_sides<T>(INPUT_BACK, all, pixels);
      for (int place = 0; place < PLACES; place++)
        if (const long pixel = grid.pixel(tile, place); pixel >= 0) {
          T *to = gradients + pixel * channels + lane;
          store(to, load(to) + pixels[place]);
        }
    }
}

// Transforms the taps (O, 9, C) of one panel of outputs to weights (36, C, PANEL).
template <class T> void weights_of_outputs(const T *taps, long channels, long depth, T *weights) {
  const long places = apart<T>(depth * PANEL<T>);
  T turned[PANEL<T>][TAPS][PANEL<T>];
  for (long channel = 0; channel < depth; channel += PANEL<T>) {
    for (int tap = 0; tap < TAPS; tap++)
      for (long out = 0; out < PANEL<T>; out++) {
        const T *row = taps + (out * TAPS + tap) * channels + channel;
        __builtin_prefetch(row + 3 * PANEL<T>);
        for (long c = 0; c < PANEL<T>; c++) turned[c][tap][out] = row[c];
      }
    for (long c = 0; c < PANEL<T>; c++)
      for (long lane = 0; lane < PANEL<T>; lane += LANES<T>) {
        vec<T> nine[TAPS], all[PLACES];
        for (int tap = 0; tap < TAPS; tap++) nine[tap] = load(turned[c][tap] + lane);
        both_sides<T>(WEIGHT, nine, all);
        T *to = weights + (channel + c) * PANEL<T> + lane;
        store_places(all, to, places);
      }
  }
}

// Transforms the taps (O, 9, C) of one panel of input channels to weights (36, O, PANEL).
template <class T> void weights_of_inputs(const T *taps, long outs, long channels, T *weights) {
  const long places = apart<T>(outs * PANEL<T>);
  for (long out = 0; out < outs; out++) {
    for (int tap = 0; tap < TAPS; tap++) __builtin_prefetch(taps + ((out + 8) * TAPS + tap) * channels);
    for (long lane = 0; lane < PANEL<T>; lane += LANES<T>) {
      vec<T> nine[TAPS], all[PLACES];
      for (int tap = 0; tap < TAPS; tap++) nine[tap] = load(taps + (out * TAPS + tap) * channels + lane);
      both_sides<T>(WEIGHT, nine, all);
      T *to = weights + out * PANEL<T> + lane;
      store_places(all, to, places);
    }
  }
}

// Products (36, tiles, PANEL) of tiles (36, K / PANEL, tiles, PANEL) and weights (36, depth, PANEL), for the channels
// [from, from + depth). Added to the products of earlier channels, unless `from` is 0.
template <class T> void multiply(const T *tiles, long count, long all, long from, const T *weights, long depth, T *to) {
  for (int place = 0; place < PLACES; place++) {
    const T *left = tiles + place * apart<T>(count * all) + from * count;
    const T *right = weights + place * apart<T>(depth * PANEL<T>);
    T *own = to + place * apart<T>(count * PANEL<T>);
    all_rows<T, PANEL<T>, 1>(count, left, PANEL<T>, count * PANEL<T>, right, depth, own, from > 0);
  }
}

constexpr long SIDES = 2;    // panels of outputs, and of inputs, in one product
constexpr long PANELS = 4;   // panels of outputs whose transformed gradients stay in the cache
constexpr long DEPTH = 128;  // channels of a panel's weights, which stay in the cache

// Gradients of the taps (O, 9, C) of `high` panels of outputs and `wide` panels of inputs, from transformed gradients
// and tiles. Added to `grad_taps` if `adds`, else written.
template <class T> void taps_gradient(const T *gradients, const T *tiles, long count, long outs, long channels,
    long high, long wide, T *grad_taps, bool adds) {
  constexpr long SIZE = PANEL<T> * PANEL<T>, places = apart<T>(SIDES * SIDES * SIZE);
  T *products = scratch<T>(1, PLACES * places);
  for (int place = 0; place < PLACES; place++)
    for (long in = 0; in < wide; in++)
      for (long out = 0; out < high; out++)
        all_rows<T, 1, PANEL<T>>(PANEL<T>, gradients + place * apart<T>(count * outs) + out * count * PANEL<T>, count,
            0, tiles + place * apart<T>(count * channels) + in * count * PANEL<T>, count,
            products + place * places + (in * SIDES + out) * SIZE, false);
  for (long out = 0; out < high * PANEL<T>; out++)
    for (long in = 0; in < wide; in++) {
      T *to = grad_taps + out * TAPS * channels + in * PANEL<T>;
      for (int tap = 0; tap < TAPS; tap++) __builtin_prefetch(to + (3 * TAPS + tap) * channels, 1);
      for (long lane = 0; lane < PANEL<T>; lane += LANES<T>) {
        vec<T> all[PLACES], nine[TAPS];
        load_places(products + in * SIDES * SIZE + out * PANEL<T> + lane, places, all);
        both_sides<T>(WEIGHT_BACK, all, nine);
        for (int tap = 0; tap < TAPS; tap++) {
          T *own = to + tap * channels + lane;
          store(own, adds ? load(own) + nine[tap] : nine[tap]);
        }
      }
    }
}

// A convolution in blocks of `block` images, whose tiles stay in the cache.
template <class T> struct Convolution {
  long images, height, width, channels, outs, block;

  // Calls visit(grid, pixels before the block, offset of its tiles) for each block of images.
  template <class Visit> void each_block(Visit visit) const {
    long place = 0;
    for (long first = 0; first < images; first += block) {
      const Grid grid(std::min(block, images - first), height, width);
      visit(grid, first * height * width, place);
      place += PLACES * apart<T>(grid.tiles * channels);
    }
  }

  // Writes the results (N, H, W, O) and all transformed tiles, which the backward pass needs.
  void forward(const T *all_images, const T *taps, T *all_tiles, T *all_results) const {
    each_block([&](Grid grid, long before, long place) {
      T *weights = scratch<T>(0, PLACES * apart<T>(DEPTH * PANEL<T>));
      T *products = scratch<T>(1, PLACES * apart<T>(grid.tiles * PANEL<T>)), *tiles = all_tiles + place;
      cut(all_images + before * channels, grid, channels, tiles);
      for (long out = 0; out < outs; out += PANEL<T>) {
        for (long first = 0; first < channels; first += DEPTH) {
          const long depth = std::min(DEPTH, channels - first);
          weights_of_outputs(taps + out * TAPS * channels + first, channels, depth, weights);
          multiply(tiles, grid.tiles, channels, first, weights, depth, products);
        }
        put(products, grid, outs, all_results + before * outs + out);
      }
    });
  }

  // Writes the gradients of images and taps, each where it is not null.
  void backward(const T *all_slopes, const T *taps, const T *all_tiles, T *grad_images, T *grad_taps) const {
    each_block([&](Grid grid, long before, long place) {
      T *weights = scratch<T>(0, PLACES * apart<T>(DEPTH * PANEL<T>));
      T *products = scratch<T>(1, PLACES * apart<T>(grid.tiles * PANEL<T>));
      T *gradients = scratch<T>(2, PLACES * apart<T>(grid.tiles * outs));
      spread(all_slopes + before * outs, grid, outs, gradients);
      for (long channel = 0; grad_images && channel < channels; channel += PANEL<T>) {
        for (long first = 0; first < outs; first += DEPTH) {
          const long depth = std::min(DEPTH, outs - first);
          weights_of_inputs(taps + first * TAPS * channels + channel, depth, channels, weights);
          multiply(gradients, grid.tiles, outs, first, weights, depth, products);
        }
        join(products, grid, channels, grad_images + before * channels + channel);
      }
      constexpr long STEP = SIDES * PANEL<T>;
      for (long some = 0; grad_taps && some < outs; some += PANELS * PANEL<T>)
        for (long in = 0; in < channels; in += STEP)
          for (long out = some; out < std::min(outs, some + PANELS * PANEL<T>); out += STEP)
            taps_gradient(gradients + out * grid.tiles, all_tiles + place + in * grid.tiles, grid.tiles, outs, channels,
                std::min(SIDES, (outs - out) / PANEL<T>), std::min(SIDES, (channels - in) / PANEL<T>),
                grad_taps + out * TAPS * channels + in, before > 0);
    });
  }
};

}  // namespace winograd
