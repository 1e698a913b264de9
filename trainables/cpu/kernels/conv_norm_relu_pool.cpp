// Exported kernels: 3x3 convolution (optional), BatchNorm in training, ReLU and 2x2 average pooling, forward and
// backward, called from fused.py; and Winograd's convolution alone, called from winograd.py.

#include "norm.h"
#include "winograd.h"

namespace {

// The convolution in front of the norm: ConvolutionKind in fused.py.
enum Kind : int64_t { NONE, DIRECT, WINOGRAD };

struct Sizes {
  int64_t images, height, width, channels, outs, block;  // `block`: images per block of Winograd's convolution
  int64_t pixels() const { return images * height * width; }
  norm::Shape shape(int64_t norm_channels) const { return {images, height, width, norm_channels, outs}; }
};

template <class T> winograd::Convolution<T> convolution(Sizes s) {
  return {s.images, s.height, s.width, s.channels, s.outs, s.block};
}

// Direct 3x3 convolution of images (N, H, W, C), for a small C, with taps (O, 9, C). It computes PANEL output channels
// at a time, so that they are still in the cache when they are normalised; the backward pass recomputes them. The
// constructor copies the images into a buffer with a border of zeros.
template <class T, long C> struct Direct {
  static constexpr long DEPTH = 9 * C, RUN = 3 * C;
  Sizes sizes;
  const T *taps;
  long line = (sizes.width + 2) * C;
  T *bordered = scratch<T>(2, sizes.images * (sizes.height + 2) * line);
  T *own = scratch<T>(0, DEPTH * PANEL<T>), *x = scratch<T>(1, sizes.pixels() * PANEL<T>);

  Direct(Sizes sizes, const T *images, const T *taps) : sizes(sizes), taps(taps) {
    std::fill_n(bordered, sizes.images * (sizes.height + 2) * line, T(0));
    for (long image = 0; image < sizes.images; image++)
      for (long row = 0; row < sizes.height; row++, images += sizes.width * C)
        std::copy_n(images, sizes.width * C, corner(image, row + 1) + C);
  }
  T *corner(long image, long row) const { return bordered + (image * (sizes.height + 2) + row) * line; }

  // Writes output channels [out, out + PANEL) to x (N, H, W, PANEL).
  void convolve(long out) const {
    for (long k = 0; k < DEPTH; k++)
      for (long lane = 0; lane < PANEL<T>; lane++) own[k * PANEL<T> + lane] = taps[(out + lane) * DEPTH + k];
    T *to = x;
    for (long image = 0; image < sizes.images; image++)
      for (long row = 0; row < sizes.height; row++, to += sizes.width * PANEL<T>)
        all_rows<T, C, 1>(sizes.width, corner(image, row), RUN, line, own, DEPTH, to, false);
  }

  // Writes the gradient of the taps of output channels [out, out + PANEL), given that of x.
  void taps_gradient(long out, const T *gradients, T *grad_taps) const {
    const long area = sizes.height * sizes.width;
    for (long image = 0; image < sizes.images; image++)
      for (long row = 0; row < 3; row++)
        all_rows<T, 1, C>(RUN, corner(image, row), sizes.width, line, gradients + image * area * PANEL<T>, area,
            own + row * RUN * PANEL<T>, image > 0);
    for (long k = 0; k < DEPTH; k++)
      for (long lane = 0; lane < PANEL<T>; lane++) grad_taps[(out + lane) * DEPTH + k] = own[k * PANEL<T> + lane];
  }
};

// Convolves directly and calls visit(direct, out) for each panel of output channels, `out` being its first.
template <class T, class Visit> void each_panel(Sizes sizes, const T *images, const T *taps, Visit visit) {
  const auto visit_all = [&](const auto &direct) {
    for (long out = 0; out < sizes.outs; out += PANEL<T>) direct.convolve(out), visit(direct, out);
  };
  sizes.channels == 1 ? visit_all(Direct<T, 1>(sizes, images, taps)) : visit_all(Direct<T, 3>(sizes, images, taps));
}

// The buffer that the forward pass saves for the backward pass: each channel's mean and inverse deviation; with
// WINOGRAD also the convolution's output x and the transformed tiles.
template <class T> struct Saved {
  T *mean, *inverse, *x, *tiles;
  Saved(T *buffer, Sizes sizes) : mean(buffer), inverse(mean + sizes.outs), x(inverse + sizes.outs) {
    tiles = x + sizes.pixels() * sizes.outs;
  }
};

template <class T> void forward(const T *images, const T *taps, const T *weight, const T *bias, T *running_mean,
    T *running_var, int64_t *batches, T *buffer, T *result, int64_t kind, Sizes sizes, double epsilon,
    double momentum) {
  const Saved<T> saved(buffer, sizes);
  const auto normalise = [&](const T *x, long out, long count) {
    norm::forward(x, weight + out, bias + out, saved.mean + out, saved.inverse + out, running_mean + out,
        running_var + out, result + out, sizes.shape(count), epsilon, momentum);
  };
  ++*batches;
  if (kind == DIRECT)
    return each_panel(sizes, images, taps, [&](const auto &direct, long out) { normalise(direct.x, out, PANEL<T>); });
  if (kind == WINOGRAD) {
    convolution<T>(sizes).forward(images, taps, saved.tiles, saved.x);
    images = saved.x;
  }
  normalise(images, 0, sizes.outs);
}

// Writes the gradients of the norm's weight and bias, and those of images and taps where they are not null.
template <class T> void backward(const T *images, const T *taps, const T *weight, const T *bias, T *buffer,
    const T *gradients, T *grad_images, T *grad_taps, T *grad_weight, T *grad_bias, int64_t kind, Sizes sizes) {
  const Saved<T> saved(buffer, sizes);
  const auto norm_backward = [&](const T *x, long out, long count, T *to) {
    norm::backward(x, gradients + out, weight + out, bias + out, saved.mean + out, saved.inverse + out,
        grad_weight + out, grad_bias + out, to, sizes.shape(count));
  };
  if (kind == NONE) return norm_backward(images, 0, sizes.outs, grad_images);
  const long together = kind == DIRECT ? PANEL<T> : sizes.outs;
  T *grad_x = grad_images || grad_taps ? scratch<T>(3, sizes.pixels() * together) : nullptr;
  if (kind == DIRECT)
    return each_panel(sizes, images, taps, [&](const auto &direct, long out) {
      norm_backward(direct.x, out, PANEL<T>, grad_x);
      if (grad_x) direct.taps_gradient(out, grad_x, grad_taps);
    });
  norm_backward(saved.x, 0, sizes.outs, grad_x);
  if (grad_x) convolution<T>(sizes).backward(grad_x, taps, saved.tiles, grad_images, grad_taps);
}

}  // namespace

#define SIZES int64_t images, int64_t height, int64_t width, int64_t channels, int64_t outs, int64_t block
#define GIVEN_SIZES {images, height, width, channels, outs, block}
#define EXPORTED(T) \
  extern "C" void conv_norm_relu_pool_forward_##T(const T *x, const T *taps, const T *weight, const T *bias, \
      T *running_mean, T *running_var, int64_t *batches, T *saved, T *result, int64_t kind, SIZES, double epsilon, \
      double momentum) { \
    forward(x, taps, weight, bias, running_mean, running_var, batches, saved, result, kind, GIVEN_SIZES, epsilon, \
        momentum); \
  } \
  extern "C" void conv_norm_relu_pool_backward_##T(const T *x, const T *taps, const T *weight, const T *bias, \
      T *saved, const T *gradients, T *grad_x, T *grad_taps, T *grad_weight, T *grad_bias, int64_t kind, SIZES) { \
    backward(x, taps, weight, bias, saved, gradients, grad_x, grad_taps, grad_weight, grad_bias, kind, GIVEN_SIZES); \
  } \
  extern "C" void winograd_forward_##T(const T *x, const T *taps, T *tiles, T *results, SIZES) { \
    convolution<T>(GIVEN_SIZES).forward(x, taps, tiles, results); \
  } \
  extern "C" void winograd_backward_##T( \
      const T *gradients, const T *taps, const T *tiles, T *grad_x, T *grad_taps, SIZES) { \
    convolution<T>(GIVEN_SIZES).backward(gradients, taps, tiles, grad_x, grad_taps); \
  }
EXPORTED(float)
EXPORTED(double)
