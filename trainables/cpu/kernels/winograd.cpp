// Winograd's F(4 x 4, 3 x 3), see winograd.py, for images (N, H, W, C) and taps (O, 9, C), channels in panels of PANEL.
//
// Transformed tiles lie as (36 places, C / PANEL, tiles, PANEL), a panel's weights as (36, K, PANEL), places a little
// apart so that they do not share sets of the cache. A panel of results is transformed back while it is in the cache.

#include <algorithm>
#include <cstdint>
#include <vector>

#include "vector.h"

namespace {

template <class T> constexpr long PANEL = 2 * LANES<T>;
constexpr int TILE = 4, SIDE = 6, PLACES = 36, TAPS = 9;

// Memory that a thread uses again and again, so that it stays in the cache.
template <class T> T *scratch(int which, long size) {
    static thread_local std::vector<T> kept[4];
    if ((long)kept[which].size() < size) kept[which].resize(size);
    return kept[which].data();
}

// The paper's transforms of one column or row: B^T, its transpose, A^T, its transpose, G, its transpose.
struct Input {
    static constexpr int FROM = 6, TO = 6;
    template <class V> static void apply(const V *x, int s, V *y, int t) {
        V a = x[4 * s] - 4 * x[2 * s], b = x[3 * s] - 4 * x[s], c = x[4 * s] - x[2 * s], d = 2 * (x[3 * s] - x[s]);
        y[0] = 4 * x[0] - 5 * x[2 * s] + x[4 * s];
        y[t] = a + b, y[2 * t] = a - b, y[3 * t] = c + d, y[4 * t] = c - d;
        y[5 * t] = 4 * x[s] - 5 * x[3 * s] + x[5 * s];
    }
};
struct InputSlope {
    static constexpr int FROM = 6, TO = 6;
    template <class V> static void apply(const V *x, int s, V *y, int t) {
        V sum = x[s] + x[2 * s], lack = x[2 * s] - x[s], more = x[3 * s] + x[4 * s], less = 2 * (x[4 * s] - x[3 * s]);
        y[0] = 4 * x[0];
        y[t] = 4 * lack + less + 4 * x[5 * s];
        y[2 * t] = -5 * x[0] - 4 * sum - more;
        y[3 * t] = -lack - less - 5 * x[5 * s];
        y[4 * t] = x[0] + sum + more;
        y[5 * t] = x[5 * s];
    }
};
struct Output {
    static constexpr int FROM = 6, TO = 4;
    template <class V> static void apply(const V *x, int s, V *y, int t) {
        V a = x[s] + x[2 * s], b = x[s] - x[2 * s], c = x[3 * s] + x[4 * s], d = x[3 * s] - x[4 * s];
        y[0] = x[0] + a + c, y[t] = b + 2 * d, y[2 * t] = a + 4 * c, y[3 * t] = b + 8 * d + x[5 * s];
    }
};
struct OutputSlope {
    static constexpr int FROM = 4, TO = 6;
    template <class V> static void apply(const V *x, int s, V *y, int t) {
        V a = x[0] + x[2 * s], b = x[s] + x[3 * s], c = x[0] + 4 * x[2 * s], d = 2 * x[s] + 8 * x[3 * s];
        y[0] = x[0], y[t] = a + b, y[2 * t] = a - b, y[3 * t] = c + d, y[4 * t] = c - d, y[5 * t] = x[3 * s];
    }
};
struct Weight {
    static constexpr int FROM = 3, TO = 6;
    template <class V> static void apply(const V *x, int s, V *y, int t) {
        typedef __typeof__(x[0][0] + x[0][0]) T;
        V a = (x[0] + x[2 * s]) * T(-1. / 6), b = x[s] * T(1. / 6);
        V c = x[0] * T(1. / 24) + x[2 * s] * T(1. / 6), d = x[s] * T(1. / 12);
        y[0] = x[0] * T(1. / 4), y[t] = a - b, y[2 * t] = a + b;
        y[3 * t] = c + d, y[4 * t] = c - d, y[5 * t] = x[2 * s];
    }
};
struct WeightSlope {
    static constexpr int FROM = 6, TO = 3;
    template <class V> static void apply(const V *x, int s, V *y, int t) {
        typedef __typeof__(x[0][0] + x[0][0]) T;
        V a = x[s] + x[2 * s], b = x[2 * s] - x[s], c = x[3 * s] + x[4 * s], d = x[3 * s] - x[4 * s];
        y[0] = x[0] * T(1. / 4) - a * T(1. / 6) + c * T(1. / 24);
        y[t] = b * T(1. / 6) + d * T(1. / 12);
        y[2 * t] = (c - a) * T(1. / 6) + x[5 * s];
    }
};

// One of them on both sides of (FROM, FROM), to (TO, TO).
template <class Form, class V> inline void both_sides(const V *from, V *to) {
    V half[Form::TO * Form::FROM];
    for (int column = 0; column < Form::FROM; column++)
        Form::apply(from + column, Form::FROM, half + column, Form::FROM);
    for (int row = 0; row < Form::TO; row++) Form::apply(half + row * Form::FROM, 1, to + row * Form::TO, 1);
}

struct Grid {
    long images, height, width, tall, wide, tiles;
    Grid(long images, long height, long width)
        : images(images), height(height), width(width), tall(height / TILE), wide(width / TILE),
          tiles(images * tall * wide) {}
};

// Elements between two places.
template <class T> long apart(long count) { return count + PANEL<T>; }

// Transformed tiles of images (N, H, W, C).
template <class T> void cut(const T *images, Grid grid, long channels, T *tiles) {
    const long step = LANES<T>, places = apart<T>(grid.tiles * channels);
    for (long tile = 0; tile < grid.tiles; tile++) {
        const long top = tile / grid.wide % grid.tall * TILE - 1, left = tile % grid.wide * TILE - 1;
        const T *image = images + tile / (grid.wide * grid.tall) * grid.height * grid.width * channels;
        for (long channel = 0; channel < channels; channel += step) {
            vec<T> pixels[PLACES], spread[PLACES];
            for (int place = 0; place < PLACES; place++) {
                const long row = top + place / SIDE, column = left + place % SIDE;
                const bool inside = row >= 0 && row < grid.height && column >= 0 && column < grid.width;
                pixels[place] = inside ? load(image + (row * grid.width + column) * channels + channel) : vec<T>{};
            }
            both_sides<Input>(pixels, spread);
            T *to = tiles + (channel / PANEL<T> * grid.tiles + tile) * PANEL<T> + channel % PANEL<T>;
            for (int place = 0; place < PLACES; place++) store(to + place * places, spread[place]);
        }
    }
}

// Transformed slopes (36, O / PANEL, tiles, PANEL) of outputs' slopes (N, H, W, O).
template <class T> void spread(const T *slopes, Grid grid, long outs, T *tiles) {
    const long step = LANES<T>, places = apart<T>(grid.tiles * outs);
    for (long tile = 0; tile < grid.tiles; tile++) {
        const long image = tile / (grid.wide * grid.tall);
        const long top = tile / grid.wide % grid.tall * TILE, left = tile % grid.wide * TILE;
        const T *from = slopes + ((image * grid.height + top) * grid.width + left) * outs;
        for (long out = 0; out < outs; out += step) {
            vec<T> pixels[TILE * TILE], wide[PLACES];
            for (int place = 0; place < TILE * TILE; place++)
                pixels[place] = load(from + (place / TILE * grid.width + place % TILE) * outs + out);
            both_sides<OutputSlope>(pixels, wide);
            T *to = tiles + (out / PANEL<T> * grid.tiles + tile) * PANEL<T> + out % PANEL<T>;
            for (int place = 0; place < PLACES; place++) store(to + place * places, wide[place]);
        }
    }
}

// Outputs (N, H, W, O) of one panel of them, from products (36, tiles, PANEL).
template <class T> void put(const T *products, Grid grid, long outs, T *results) {
    const long places = apart<T>(grid.tiles * PANEL<T>);
    for (long tile = 0; tile < grid.tiles; tile++) {
        const long image = tile / (grid.wide * grid.tall);
        const long top = tile / grid.wide % grid.tall * TILE, left = tile % grid.wide * TILE;
        T *to = results + ((image * grid.height + top) * grid.width + left) * outs;
        for (long lane = 0; lane < PANEL<T>; lane += LANES<T>) {
            vec<T> all[PLACES], pixels[TILE * TILE];
            for (int place = 0; place < PLACES; place++)
                all[place] = load(products + place * places + tile * PANEL<T> + lane);
            both_sides<Output>(all, pixels);
            for (int place = 0; place < TILE * TILE; place++)
                store(to + (place / TILE * grid.width + place % TILE) * outs + lane, pixels[place]);
        }
    }
}

// Slopes (N, H, W, C) of one panel of images' channels, from products (36, tiles, PANEL): sums where tiles overlap.
template <class T> void join(const T *products, Grid grid, long channels, T *slopes) {
    const long places = apart<T>(grid.tiles * PANEL<T>), across = grid.width + 2, a_image = grid.tall * grid.wide;
    T *padded = scratch<T>(2, (grid.height + 2) * across * PANEL<T>);
    for (long image = 0; image < grid.images; image++) {
        std::fill(padded, padded + (grid.height + 2) * across * PANEL<T>, T(0));
        for (long tile = 0; tile < a_image; tile++) {
            T *corner = padded + (tile / grid.wide * TILE * across + tile % grid.wide * TILE) * PANEL<T>;
            for (long lane = 0; lane < PANEL<T>; lane += LANES<T>) {
                vec<T> all[PLACES], pixels[PLACES];
                for (int place = 0; place < PLACES; place++)
                    all[place] = load(products + place * places + (image * a_image + tile) * PANEL<T> + lane);
                both_sides<InputSlope>(all, pixels);
                for (int place = 0; place < PLACES; place++) {
                    T *to = corner + (place / SIDE * across + place % SIDE) * PANEL<T> + lane;
                    store(to, load(to) + pixels[place]);
                }
            }
        }
        for (long row = 0; row < grid.height; row++)
            for (long column = 0; column < grid.width; column++)
                std::copy_n(padded + ((row + 1) * across + column + 1) * PANEL<T>, PANEL<T>,
                            slopes + ((image * grid.height + row) * grid.width + column) * channels);
    }
}

// Weights (36, C, PANEL) of a panel of outputs: taps (O, 9, C) turned over.
template <class T> void weights_of_outputs(const T *taps, long channels, long depth, T *weights) {
    const long places = apart<T>(depth * PANEL<T>);
    T turned[PANEL<T>][TAPS][PANEL<T>];
    for (long channel = 0; channel < depth; channel += PANEL<T>) {
        for (int tap = 0; tap < TAPS; tap++)
            for (long out = 0; out < PANEL<T>; out++) {
                const T *row = taps + (out * TAPS + tap) * channels + channel;
                for (long c = 0; c < PANEL<T>; c++) turned[c][tap][out] = row[c];
            }
        for (long c = 0; c < PANEL<T>; c++)
            for (long lane = 0; lane < PANEL<T>; lane += LANES<T>) {
                vec<T> nine[TAPS], all[PLACES];
                for (int tap = 0; tap < TAPS; tap++) nine[tap] = load(turned[c][tap] + lane);
                both_sides<Weight>(nine, all);
                T *to = weights + (channel + c) * PANEL<T> + lane;
                for (int place = 0; place < PLACES; place++) store(to + place * places, all[place]);
            }
    }
}

// Asks memory for `count` panels that lie `apart` from one another.
template <class T> inline void fetch(const T *first, long count, long stride) {
    for (long each = 0; each < count; each++)
        for (long lane = 0; lane < PANEL<T>; lane += 64 / sizeof(T)) __builtin_prefetch(first + each * stride + lane);
}

constexpr long AHEAD = 4;  // outputs whose taps are asked for before they are needed

// Weights (36, O, PANEL) of a panel of the images' channels.
template <class T> void weights_of_inputs(const T *taps, long outs, long channels, T *weights) {
    const long places = apart<T>(outs * PANEL<T>);
    for (long out = 0; out < outs; out++) {
        fetch(taps + (out + AHEAD) * TAPS * channels, TAPS, channels);
        for (long lane = 0; lane < PANEL<T>; lane += LANES<T>) {
            vec<T> nine[TAPS], all[PLACES];
            for (int tap = 0; tap < TAPS; tap++) nine[tap] = load(taps + (out * TAPS + tap) * channels + lane);
            both_sides<Weight>(nine, all);
            T *to = weights + out * PANEL<T> + lane;
            for (int place = 0; place < PLACES; place++) store(to + place * places, all[place]);
        }
    }
}

// M rows of a product: sums over k of left[m * across + k * along] times right (K, PANEL), k in runs of `run` that lie
// `jump` apart on the left. All sums stay in registers.
template <class T, int M>
inline void rows(const T *left, long across, long along, long run, long jump, const T *right, long depth, T *to,
                 bool adds) {
    vec<T> low[M] = {}, high[M] = {};
    if (adds)
#pragma GCC unroll 16
        for (int m = 0; m < M; m++) low[m] = load(to + m * PANEL<T>), high[m] = load(to + m * PANEL<T> + LANES<T>);
    for (long first = 0; first < depth; first += run, left += jump)
        for (long k = 0; k < run; k++, right += PANEL<T>) {
            const vec<T> one = load(right), two = load(right + LANES<T>);
#pragma GCC unroll 16
            for (int m = 0; m < M; m++) {
                const T factor = left[m * across + k * along];
                low[m] += factor * one, high[m] += factor * two;
            }
        }
#pragma GCC unroll 16
    for (int m = 0; m < M; m++) store(to + m * PANEL<T>, low[m]), store(to + m * PANEL<T> + LANES<T>, high[m]);
}

template <class T, int M = ROWS, class... Rest> void some_rows(long count, const T *left, long across, Rest... rest) {
    if constexpr (M > 1)
        if (count < M) return some_rows<T, M - 1>(count, left, across, rest...);
    rows<T, M>(left, across, rest...);
}

// to (36, tiles, PANEL): tiles (36, K / PANEL, tiles, PANEL) times weights (36, depth, PANEL), those of `depth` channels
// of all K, `from` one on; added to what is there unless `from` is 0.
template <class T> void multiply(const T *tiles, long count, long all, long from, const T *weights, long depth, T *to) {
    const long parts = (count + ROWS - 1) / ROWS;
    for (int place = 0; place < PLACES; place++) {
        const T *left = tiles + place * apart<T>(count * all) + from * count;
        const T *right = weights + place * apart<T>(depth * PANEL<T>);
        T *own = to + place * apart<T>(count * PANEL<T>);
        for (long part = 0; part < parts; part++) {
            const long first = part * count / parts, end = (part + 1) * count / parts;
            some_rows<T>(end - first, left + first * PANEL<T>, PANEL<T>, 1L, PANEL<T>, count * PANEL<T>, right, depth,
                         own + first * PANEL<T>, from > 0);
        }
    }
}

// Slopes of the taps (O, 9, C) of a panel of outputs and one of inputs, from the transformed slopes and tiles: added to
// what is there, or written.
template <class T>
void weights_slope(const T *slopes, const T *tiles, long count, long outs, long channels, T *taps, bool adds) {
    constexpr long PARTS = (PANEL<T> + ROWS - 1) / ROWS, SIZE = (PANEL<T> + 1) * PANEL<T>;
    T *products = scratch<T>(1, PLACES * SIZE);
    fetch(taps, PANEL<T> * TAPS, channels);
    for (int place = 0; place < PLACES; place++)
        for (long part = 0; part < PARTS; part++) {
            const long first = part * PANEL<T> / PARTS, end = (part + 1) * PANEL<T> / PARTS;
            const T *left = slopes + place * apart<T>(count * outs) + first;
            const T *right = tiles + place * apart<T>(count * channels);
            some_rows<T>(end - first, left, 1L, PANEL<T>, count, 0L, right, count,
                         products + place * SIZE + first * PANEL<T>, false);
        }
    for (long out = 0; out < PANEL<T>; out++)
        for (long lane = 0; lane < PANEL<T>; lane += LANES<T>) {
            vec<T> all[PLACES], nine[TAPS];
            for (int place = 0; place < PLACES; place++)
                all[place] = load(products + place * SIZE + out * PANEL<T> + lane);
            both_sides<WeightSlope>(all, nine);
            for (int tap = 0; tap < TAPS; tap++) {
                T *to = taps + (out * TAPS + tap) * channels + lane;
                store(to, adds ? load(to) + nine[tap] : nine[tap]);
            }
        }
}

constexpr long PANELS = 4;   // of outputs, whose slopes stay in the cache
constexpr long DEPTH = 128;  // of a panel's weights, which stay in the cache

template <class T>
void forward(const T *images, const T *taps, T *tiles, T *results, Grid grid, long channels, long outs) {
    T *weights = scratch<T>(0, PLACES * apart<T>(DEPTH * PANEL<T>));
    T *products = scratch<T>(1, PLACES * apart<T>(grid.tiles * PANEL<T>));
    cut(images, grid, channels, tiles);
    for (long out = 0; out < outs; out += PANEL<T>) {
        for (long first = 0; first < channels; first += DEPTH) {
            const long depth = std::min(DEPTH, channels - first);
            weights_of_outputs(taps + out * TAPS * channels + first, channels, depth, weights);
            multiply(tiles, grid.tiles, channels, first, weights, depth, products);
        }
        put(products, grid, outs, results + out);
    }
}

template <class T>
void backward(const T *slopes, const T *taps, const T *tiles, T *of_images, T *of_taps, Grid grid, long channels,
              long outs, bool adds) {
    T *weights = scratch<T>(0, PLACES * apart<T>(DEPTH * PANEL<T>));
    T *products = scratch<T>(1, PLACES * apart<T>(grid.tiles * PANEL<T>));
    T *wide = scratch<T>(3, PLACES * apart<T>(grid.tiles * outs));
    spread(slopes, grid, outs, wide);
    for (long channel = 0; of_images && channel < channels; channel += PANEL<T>) {
        for (long first = 0; first < outs; first += DEPTH) {
            const long depth = std::min(DEPTH, outs - first);
            weights_of_inputs(taps + first * TAPS * channels + channel, depth, channels, weights);
            multiply(wide, grid.tiles, outs, first, weights, depth, products);
        }
        join(products, grid, channels, of_images + channel);
    }
    for (long block = 0; of_taps && block < outs; block += PANELS * PANEL<T>)
        for (long in = 0; in < channels; in += PANEL<T>)
            for (long out = block; out < std::min(outs, block + PANELS * PANEL<T>); out += PANEL<T>)
                weights_slope(wide + out * grid.tiles, tiles + in * grid.tiles, grid.tiles, outs, channels,
                              of_taps + out * TAPS * channels + in, adds);
}

}  // namespace

#define EXPORTED(T)                                                                                                    \
    extern "C" void winograd_forward_##T(const T *images, const T *taps, T *tiles, T *results, int64_t count,          \
                                         int64_t height, int64_t width, int64_t channels, int64_t outs) {              \
        forward(images, taps, tiles, results, Grid(count, height, width), channels, outs);                             \
    }                                                                                                                  \
    extern "C" void winograd_backward_##T(const T *slopes, const T *taps, const T *tiles, T *of_images, T *of_taps,    \
                                          int64_t count, int64_t height, int64_t width, int64_t channels,              \
                                          int64_t outs, int64_t adds) {                                                \
        backward(slopes, taps, tiles, of_images, of_taps, Grid(count, height, width), channels, outs, adds);           \
    }
EXPORTED(float)
EXPORTED(double)
