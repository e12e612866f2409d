r"""A game by autograd: two losses, and whose numbers are whose.

    v(w) = (-d loss_1 / d x, -d loss_2 / d y),      w = (x, y) as one vector

is where both are pulled (Mescheder, Nowozin & Geiger, 2017).  With loss_1 = f and loss_2 = -f the game is zero-sum.
The rules of `dynamics` ask for v, for products with its Jacobian J, and for solutions of (I - rate J) d = b: nothing
here is ever as large as J, so that two networks are played as two numbers are.
"""

import contextlib
from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from gdm_core.protocols import HasPlayers
from gdm_core.validate import bad, positive

Batch = tuple  # what both losses get in one look at the game: data, noise


def nothing() -> Batch:
    """The batch of a game without noise."""
    return ()


class Game:
    """Two players; each goes down its own loss.

    Args:
        losses: of the first and the second player, `loss(*batch) -> ()`.
        players: the parameters of each.  They are moved in place: between two steps they hold the current state.
        draw: a new batch for the losses, a tuple; none unless given.

    Attributes:
        seen: loss, (), and gradients of each player where it was last looked at.

    Raises:
        ValueError: a player without parameters, a parameter of both, parameters of several dtypes or not finite.
    """

    def __init__(
        self, losses: Iterable[Callable], players: Iterable[Iterable[Tensor]], draw: Callable[[], Batch] = nothing
    ):
        self.losses, self.draw = tuple(losses), draw
        self.seen: list[tuple[Tensor, list[Tensor]] | None] = [None, None]
        self.players = tuple([p for p in own if p.requires_grad] for own in players)
        if len(self.players) != 2 or len(self.losses) != 2 or not all(self.players):
            counts = [len(own) for own in self.players]
            raise bad("two players with a loss and trainable parameters each", counts, "requires_grad_() on what moves")
        self.parameters = [p for own in self.players for p in own]
        if len({id(p) for p in self.parameters}) < len(self.parameters):
            raise bad("parameters that belong to one player each", "shared ones", "a copy for one of the two")
        if len({(p.dtype, p.device) for p in self.parameters}) > 1:
            raise bad("players of one dtype on one device", "several", "model.double() or model.to(device) for both")
        self.sizes = tuple(sum(p.numel() for p in own) for own in self.players)
        if not torch.isfinite(self.state()).all():
            raise bad("a finite start", "NaN or infinite parameters", "other parameters")

    def state(self) -> Tensor:
        """w = (x, y), a copy, (n,)."""
        return torch.cat([p.detach().flatten() for p in self.parameters])

    @torch.no_grad()
    def put(self, w: Tensor) -> None:
        """Let the parameters be w, (n,)."""
        for p, part in zip(self.parameters, w.split([p.numel() for p in self.parameters])):
            p.copy_(part.view_as(p))

    def field(self, w: Tensor, batch: Batch = (), player: int | None = None) -> Tensor:
        """v(w), (n,); zeros for the other one if a single `player`, 0 or 1, is asked for."""
        self.put(w)
        who = (0, 1) if player is None else (player,)
        parts = [self._pull(i, batch) if i in who else [w.new_zeros(self.sizes[i])] for i in (0, 1)]
        return _flat(parts[0] + parts[1])

    def jvp(self, w: Tensor, u: Tensor, batch: Batch = (), across: bool = False) -> Tensor:
        """J u, (n,); `across` keeps only what the one player's move u changes for the other."""
        self.put(w)
        moves, out = u.split(self.sizes), []
        for i in (0, 1):
            pulls = self._pull(i, batch, graph=True)
            weights = [torch.zeros_like(p, requires_grad=True) for p in pulls]
            # d/du of weights . v is linear in the weights; its derivative by them is J u
            of, move = (self.players[1 - i], moves[1 - i]) if across else (self.parameters, u)
            back = torch.autograd.grad(pulls, of, weights, create_graph=True, materialize_grads=True)
            told = (_flat(back) * move).sum()
            free = not told.requires_grad  # of the other player
            out += weights if free else torch.autograd.grad(told, weights, materialize_grads=True)
        return _flat(out).detach()

    def vjp(self, w: Tensor, u: Tensor, batch: Batch = ()) -> Tensor:
        """J^T u, (n,); the gradient of |v|^2 / 2 if u = v(w)."""
        self.put(w)
        pulls = self._pull(0, batch, graph=True) + self._pull(1, batch, graph=True)
        sent = [part.view_as(p) for p, part in zip(pulls, u.split([p.numel() for p in pulls]))]
        return _flat(torch.autograd.grad(pulls, self.parameters, sent, materialize_grads=True))

    def implicit(self, w: Tensor, rate: Tensor, b: Tensor, batch: Batch = (), across: bool = False) -> Tensor:
        """d with (I - rate J) d = b, (n,), by GMRES; `across` leaves J only what each player does to the other."""
        return gmres(lambda d: d - rate * self.jvp(w, d, batch, across), b)

    def _pull(self, i: int, batch: Batch, graph: bool = False) -> list[Tensor]:
        """Minus the gradient of loss i by the parameters of player i."""
        with Attached() if graph else contextlib.nullcontext():
            loss = self.losses[i](*batch)
        if not isinstance(loss, Tensor) or loss.shape != () or not loss.requires_grad:
            got = f"{tuple(loss.shape)}" if isinstance(loss, Tensor) else type(loss).__name__
            raise bad(
                f"a loss of player {i + 1}, (), that depends on its parameters", got, "the mean, without detach()"
            )
        grads = torch.autograd.grad(loss, self.players[i], create_graph=graph, materialize_grads=True)
        self.seen[i] = loss.detach(), [g.detach() for g in grads]
        if not graph:
            return [-g for g in grads]
        return [-g if g.requires_grad else -g + 0 * p for g, p in zip(grads, self.players[i])]  # J of a constant: 0


def zero_sum(f: Callable, x: Tensor | nn.Module, y: Tensor | nn.Module, draw: Callable[[], Batch] = nothing) -> Game:
    """min over x, max over y of `f(x, y, *batch) -> ()`.

    Args:
        f: called with x and y as they were given, at their current values.
        x, y: tensors, of which copies are moved, or modules, whose parameters are moved in place.
        draw: see `Game`.
    """
    return two_losses(f, lambda *inputs: -f(*inputs), x, y, draw)


def two_losses(f: Callable, g: Callable, x, y, draw: Callable[[], Batch] = nothing) -> Game:
    """x goes down `f(x, y, *batch)`, y down `g(x, y, *batch)`; see `zero_sum`."""
    seats = [s if isinstance(s, nn.Module) else _leaf(s) for s in (x, y)]
    own = [list(s.parameters()) if isinstance(s, nn.Module) else [s] for s in seats]
    return Game([lambda *batch, loss=loss: loss(*seats, *batch) for loss in (f, g)], own, draw)


def of(model: HasPlayers, draw: Callable[[], Batch]) -> Game:
    """The game of a model with players, such as a GAN: the order in which they move is that of `model.players()`.

    One batch is one draw of the noise inside the losses, too, however often it is looked at.

    Args:
        model: `protocols.HasPlayers`, of two.
        draw: a new batch for `model.{name}_loss(*batch)`; torch.manual_seed fixes the noise.
    """
    if not isinstance(model, HasPlayers):
        raise bad("a model with players()", type(model).__name__, "games.zero_sum(f, x, y)")
    players = {name: list(own) for name, own in model.players().items()}
    cards = [p.device for own in players.values() for p in own[:1] if p.device.type == "cuda"]

    def same_noise(loss: Callable) -> Callable:
        def at(seed: int, *batch) -> Tensor:
            with torch.random.fork_rng(devices=set(cards)):
                torch.manual_seed(seed)
                return loss(*batch)

        return at

    losses = [same_noise(getattr(model, f"{name}_loss")) for name in players]
    return Game(losses, players.values(), lambda: (int(torch.randint(2**62, ())), *draw()))


class Attached(TorchFunctionMode):
    """Undoes `detach` of what has a gradient.

    A critic's loss detaches the samples, for the generator does not go down it; but where the critic is pulled does
    depend on them, and J says how.
    """

    def __torch_function__(self, function, types, args=(), kwargs=None):
        if function is Tensor.detach and args[0].requires_grad:
            return args[0]
        return function(*args, **(kwargs or {}))


def rates(game, lr: float | tuple[float, float], w: Tensor) -> Tensor:
    """Step sizes of all entries of w, (n,), from one for both players or one each."""
    if not isinstance(lr, tuple):
        return w.new_full((sum(game.sizes),), lr)
    return torch.cat([w.new_full((n,), rate) for n, rate in zip(game.sizes, lr)])


def checked(lr: float | tuple[float, float]) -> float | tuple[float, float]:
    """The step size or sizes, if they are positive and finite."""
    if isinstance(lr, tuple | list):
        if len(lr) != 2:
            raise bad("one step size, or one for each of two players", lr, "lr=(0.1, 0.1)")
        return tuple(positive("lr", rate, 0.1) for rate in lr)
    return positive("lr", lr, 0.1)


def gmres(apply: Callable[[Tensor], Tensor], b: Tensor, most: int = 60) -> Tensor:
    """d with apply(d) = b for a linear map, to the rounding of b's dtype or as near as `most` products bring it.

    The best d in the span of b, A b, A^2 b ... whose orthonormal basis is Q, with A Q_k = Q_{k+1} H (Saad & Schultz,
    1986).
    """
    size, eps = b.norm(), torch.finfo(b.dtype).eps
    if not size > 0:
        return b
    Q, H = [b / size], b.new_zeros(most + 1, most)
    for k in range(min(most, len(b))):
        q = apply(Q[k])
        for _ in (1, 2):  # the second time takes away what rounding left
            for j, other in enumerate(Q):
                part = q @ other
                H[j, k] += part
                q = q - part * other
        H[k + 1, k] = q.norm()
        target = b.new_zeros(k + 2)
        target[0] = size
        weights = torch.linalg.lstsq(H[: k + 2, : k + 1], target[:, None]).solution[:, 0]
        missed = (H[: k + 2, : k + 1] @ weights - target).norm()
        if missed <= 10 * eps * size or H[k + 1, k] <= 10 * eps:
            break
        Q.append(q / H[k + 1, k])
    return torch.stack(Q[: len(weights)], 1) @ weights


def _leaf(s: Tensor) -> Tensor:
    if not isinstance(s, Tensor) or not s.is_floating_point():
        got = s.dtype if isinstance(s, Tensor) else type(s).__name__
        raise bad("a floating tensor or a module for each player", got, "torch.tensor(1.0)")
    return s.detach().clone().requires_grad_()


def _flat(parts: Iterable[Tensor]) -> Tensor:
    return torch.cat([p.flatten() for p in parts])
