"""The models of the papers, by name, with the parameters' names of their official checkpoints.

>>> from selscan import models
>>> model = models.create("vmamba_tiny_s1l8", num_classes=10).eval()
>>> sum(p.numel() for p in model.parameters())
29487754
"""

from fnmatch import fnmatchcase

from ..messages import describe, not_installed

try:
    from . import efficientvmamba, localvim, localvmamba, msvmamba, vim, vmamba
    from .checkpoints import load
    from .registry import check_names, check_options, checked_name
    from .tokens import checked_sides
except ModuleNotFoundError as error:
    raise not_installed(error, "torch", "selscan.models", "models") from None

__all__ = ["create", "list", "load"]

# Each has its table of variants on top, VARIANTS, and the class that makes them, FAMILY.
FAMILIES = (vim, vmamba, localvim, localvmamba, efficientvmamba, msvmamba)


def list(filter="*"):
    """The names that `create` takes.

    Parameters
    ----------
    filter : str
        A pattern with wildcards, as in `fnmatch`, that they must match.

    Returns
    -------
    names : list of str
        In the order of the papers, small before large.

    Examples
    --------
    >>> from selscan import models
    >>> models.list()[:3]
    ['vim_tiny', 'vim_tiny_stride8', 'vim_small']
    >>> models.list("*mamba*_nano")
    ['msvmamba_nano']
    """
    if not isinstance(filter, str):
        raise TypeError(f"list: filter must be a string; got {describe(filter)}.")
    names = [name for family in FAMILIES for name in family.VARIANTS]
    return [name for name in names if fnmatchcase(name, filter)]


def create(
    name,
    pretrained=None,
    *,
    num_classes=1000,
    in_chans=3,
    img_size=224,
    features_only=False,
    out_indices=None,
    drop_path_rate=None,
    **options,
):
    """A model by name.

    Parameters
    ----------
    name : str
        One of `list`.
    pretrained : str, os.PathLike or dict, optional
        Weights, as `load` takes them. Without them the model starts from random ones.
    num_classes : int
        Length of the output; 0 for the features that a head would see. Where the weights have a
        head for another number of classes, the model keeps the head that it starts with.
    in_chans : int
        Channels of the images.
    img_size : int or (int, int)
        Size of the images, for models that learn the positions of their patches (Vim, LocalVim);
        weights for another size are resized. All other models take images of any size, whatever
        is said here.
    features_only : bool
        Return feature maps instead of the scores of classes.
    out_indices : sequence of int, optional
        The stages, or layers, whose maps are returned, first to last in whatever order they stand
        here; all stages if not given, and numbers below 0 count from the last one. What is behind
        the last of them is not built.
    drop_path_rate : float, optional
        Stochastic depth in training: the share of the last block's results that is left out. That
        of the paper if not given.
    **options
        Of the family's class, instead of the variant's: ``depths`` and ``dim``, say.

    Returns
    -------
    model : torch.nn.Module
        From images (b, in_chans, h, w) to scores (b, num_classes), or with ``features_only=True``
        to a list of maps (b, channels, h, w). It has the attributes and methods of timm's models
        (`selscan.models.interface.Model`).

    Raises
    ------
    ValueError
        A name, an option or weights that do not fit.
    TypeError
        An argument of another kind.
    ModuleNotFoundError
        The weights need safetensors or huggingface_hub, which is not installed.

    Examples
    --------
    >>> import torch
    >>> from selscan import models
    >>> model = models.create("efficientvmamba_tiny", features_only=True).eval()
    >>> with torch.no_grad():
    ...     maps = model(torch.zeros(1, 3, 64, 96))
    >>> [tuple(x.shape[1:]) for x in maps]
    [(48, 16, 24), (96, 8, 12), (192, 4, 6), (384, 2, 3)]
    """
    families = {variant: family for family in FAMILIES for variant in family.VARIANTS}
    family = families[checked_name(name, families)]
    variant = family.VARIANTS[name]
    check_options(num_classes, in_chans, features_only, out_indices, drop_path_rate)
    check_names(name, family.FAMILY, options)
    if not variant.sized:
        checked_sides(img_size)  # by all others where they see what fits
    if isinstance(pretrained, bool):
        got, hint = describe(pretrained), "No weights come with selscan."
        raise TypeError(f"create: pretrained must be a path or a state dict; got {got}. {hint}")
    options = variant.options | options
    options |= {"num_classes": num_classes, "in_chans": in_chans, "features_only": features_only}
    if variant.sized:
        options["img_size"] = img_size
    if out_indices is not None:
        options["out_indices"] = out_indices
    if drop_path_rate is not None:
        options["drop_path_rate"] = drop_path_rate
    model = family.FAMILY(**options)
    model.default_cfg["architecture"] = name
    if pretrained is not None:
        load(model, pretrained)
    return model
