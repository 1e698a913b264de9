// A block of a network: a convolution of 3 x 3, if there is one, then norm.h; and winograd.h alone.

#include "norm.h"
#include "winograd.h"

namespace {

// What convolves a block's images: nothing, a direct convolution of 1 or 3 channels, or Winograd's.
enum { NONE, FEW, WINOGRAD };

struct Sizes {
  int64_t kind, images, height, width, channels, outs, block;
  int64_t pixels() const { return images * height * width; }
  norm::Shape shape(int64_t some) const { return {images, height, width, some, outs}; }
};

template <class T> winograd::Convolution<T> convolution(Sizes s) {
  return {s.images, s.height, s.width, s.channels, s.outs, s.block};
}

// A convolution of C channels and what follows it, a panel of outputs at a time, so that what lies between stays in the
// cache: it is computed anew for the gradient. Taps are (O, 9, C), images get a border of zeros.
template <class T, long C> struct Few {
  static constexpr long DEPTH = 9 * C, RUN = 3 * C;
  Sizes sizes;
  const T *taps;
  long line = (sizes.width + 2) * C;
  T *bordered = scratch<T>(2, sizes.images * (sizes.height + 2) * line);
  T *own = scratch<T>(0, DEPTH * PANEL<T>), *x = scratch<T>(1, sizes.pixels() * PANEL<T>);

  Few(Sizes sizes, const T *images, const T *taps) : sizes(sizes), taps(taps) {
    std::fill_n(bordered, sizes.images * (sizes.height + 2) * line, T(0));
    for (long image = 0; image < sizes.images; image++)
      for (long row = 0; row < sizes.height; row++, images += sizes.width * C)
        std::copy_n(images, sizes.width * C, corner(image, row + 1) + C);
  }
  T *corner(long image, long row) const { return bordered + (image * (sizes.height + 2) + row) * line; }

  // To x (N, H, W, PANEL), the outputs from `out` on.
  void convolve(long out) const {
    for (long k = 0; k < DEPTH; k++)
      for (long lane = 0; lane < PANEL<T>; lane++) own[k * PANEL<T> + lane] = taps[(out + lane) * DEPTH + k];
    T *to = x;
    for (long image = 0; image < sizes.images; image++)
      for (long row = 0; row < sizes.height; row++, to += sizes.width * PANEL<T>)
        all_rows<T, C, 1>(sizes.width, corner(image, row), RUN, line, own, DEPTH, to, false);
  }

  // The slopes of their taps, from those of x.
  void slope(long out, const T *slopes, T *of_taps) const {
    const long area = sizes.height * sizes.width;
    for (long image = 0; image < sizes.images; image++)
      for (long row = 0; row < 3; row++)
        all_rows<T, 1, C>(RUN, corner(image, row), sizes.width, line, slopes + image * area * PANEL<T>, area,
            own + row * RUN * PANEL<T>, image > 0);
    for (long k = 0; k < DEPTH; k++)
      for (long lane = 0; lane < PANEL<T>; lane++) of_taps[(out + lane) * DEPTH + k] = own[k * PANEL<T> + lane];
  }
};

// Calls visit(Few, panel) for each panel of outputs.
template <class T, class Visit> void each_panel(Sizes sizes, const T *images, const T *taps, Visit visit) {
  const auto by = [&](const auto &few) {
    for (long out = 0; out < sizes.outs; out += PANEL<T>) few.convolve(out), visit(few, out);
  };
  sizes.channels == 1 ? by(Few<T, 1>(sizes, images, taps)) : by(Few<T, 3>(sizes, images, taps));
}

// `kept` for the gradient: each channel's mean and inverse deviation; with Winograd what was convolved, and its tiles.
template <class T> struct Kept {
  T *mean, *inverse, *x, *tiles;
  Kept(T *kept, Sizes sizes) : mean(kept), inverse(mean + sizes.outs), x(inverse + sizes.outs) {
    tiles = x + sizes.pixels() * sizes.outs;
  }
};

template <class T> void forward(const T *images, const T *taps, const T *weight, const T *bias, T *running_mean,
    T *running_var, int64_t *batches, T *all_kept, T *result, Sizes sizes, double epsilon, double momentum) {
  const Kept<T> kept(all_kept, sizes);
  const auto normalise = [&](const T *x, long out, long count) {
    norm::forward(x, weight + out, bias + out, kept.mean + out, kept.inverse + out, running_mean + out,
        running_var + out, result + out, sizes.shape(count), epsilon, momentum);
  };
  ++*batches;
  if (sizes.kind == FEW)
    return each_panel(sizes, images, taps, [&](const auto &few, long out) { normalise(few.x, out, PANEL<T>); });
  if (sizes.kind == WINOGRAD) convolution<T>(sizes).forward(images, taps, kept.tiles, kept.x), images = kept.x;
  normalise(images, 0, sizes.outs);
}

// Slopes: each where it is not null, but those of weight and bias always.
template <class T> void backward(const T *images, const T *taps, const T *weight, const T *bias, T *all_kept,
    const T *slopes, T *of_images, T *of_taps, T *of_weight, T *of_bias, Sizes sizes) {
  const Kept<T> kept(all_kept, sizes);
  const auto back = [&](const T *x, long out, long count, T *to) {
    norm::backward(x, slopes + out, weight + out, bias + out, kept.mean + out, kept.inverse + out, of_weight + out,
        of_bias + out, to, sizes.shape(count));
  };
  if (sizes.kind == NONE) return back(images, 0, sizes.outs, of_images);
  const long together = sizes.kind == FEW ? PANEL<T> : sizes.outs;
  T *of_x = of_images || of_taps ? scratch<T>(3, sizes.pixels() * together) : nullptr;
  if (sizes.kind == FEW)
    return each_panel(sizes, images, taps, [&](const auto &few, long out) {
      back(few.x, out, PANEL<T>, of_x);
      if (of_x) few.slope(out, of_x, of_taps);
    });
  back(kept.x, 0, sizes.outs, of_x);
  if (of_x) convolution<T>(sizes).backward(of_x, taps, kept.tiles, of_images, of_taps);
}

}  // namespace

#define GIVEN {kind, images, height, width, channels, outs, block}
#define SIZES int64_t kind, int64_t images, int64_t height, int64_t width, int64_t channels, int64_t outs, int64_t block
#define EXPORTED(T) \
  extern "C" void block_forward_##T(const T *x, const T *taps, const T *weight, const T *bias, T *running_mean, \
      T *running_var, int64_t *batches, T *kept, T *result, SIZES, double epsilon, double momentum) { \
    forward(x, taps, weight, bias, running_mean, running_var, batches, kept, result, GIVEN, epsilon, momentum); \
  } \
  extern "C" void block_backward_##T(const T *x, const T *taps, const T *weight, const T *bias, T *kept, \
      const T *slopes, T *of_x, T *of_taps, T *of_weight, T *of_bias, SIZES) { \
    backward(x, taps, weight, bias, kept, slopes, of_x, of_taps, of_weight, of_bias, GIVEN); \
  } \
  extern "C" void winograd_forward_##T(const T *x, const T *taps, T *tiles, T *results, SIZES) { \
    convolution<T>(GIVEN).forward(x, taps, tiles, results); \
  } \
  extern "C" void winograd_backward_##T(const T *slopes, const T *taps, const T *tiles, T *of_x, T *of_taps, SIZES) { \
    convolution<T>(GIVEN).backward(slopes, taps, tiles, of_x, of_taps); \
  }
EXPORTED(float)
EXPORTED(double)
