"""The vocabulary of `latex`: what a command or a letter becomes."""


def _pairs(text: str) -> dict[str, str]:
    words = text.split()
    return dict(zip(words[::2], words[1::2], strict=True))


GREEK = _pairs("""
    alpha α beta β gamma γ delta δ epsilon ϵ varepsilon ε zeta ζ eta η theta θ vartheta ϑ iota ι kappa κ lambda λ mu μ
    nu ν xi ξ pi π varpi ϖ rho ρ varrho ϱ sigma σ varsigma ς tau τ upsilon υ phi ϕ varphi φ chi χ psi ψ omega ω
    Gamma Γ Delta Δ Theta Θ Lambda Λ Xi Ξ Pi Π Sigma Σ Upsilon Υ Phi Φ Psi Ψ Omega Ω
""")
ORDINARY = _pairs("""
    ell ℓ infty ∞ partial ∂ nabla ∇ hbar ℏ Re ℜ Im ℑ aleph ℵ emptyset ∅ varnothing ∅ forall ∀ exists ∃ neg ¬ angle ∠
    top ⊤ bot ⊥ prime ′ dots … ldots … cdots ⋯ vdots ⋮ ddots ⋱ checkmark ✓ square □ # # % % & & $ $ _ _ degree ° imath ı
    jmath ȷ dagger † star ⋆
""")
BINARY = _pairs("""
    pm ± mp ∓ times × cdot ⋅ circ ∘ bullet ∙ oplus ⊕ otimes ⊗ odot ⊙ ominus ⊖ cup ∪ cap ∩ setminus ∖ wedge ∧ vee ∨
    land ∧ lor ∨ ast ∗ div ÷
""")
RELATION = _pairs("""
    le ≤ leq ≤ ge ≥ geq ≥ ne ≠ neq ≠ ll ≪ gg ≫ lesssim ≲ gtrsim ≳ approx ≈ sim ∼ simeq ≃ cong ≅ equiv ≡ propto ∝ in ∈
    notin ∉ ni ∋ subset ⊂ subseteq ⊆ supset ⊃ supseteq ⊇ mid ∣ nmid ∤ parallel ∥ perp ⊥ to → rightarrow → leftarrow ←
    gets ← leftrightarrow ↔ Rightarrow ⇒ Leftarrow ⇐ Leftrightarrow ⇔ iff ⟺ implies ⟹ Longrightarrow ⟹ mapsto ↦
    longrightarrow ⟶ uparrow ↑ downarrow ↓ hookrightarrow ↪ triangleq ≜ coloneqq ≔ prec ≺ succ ≻ models ⊨ vdash ⊢
    leadsto ⇝ nearrow ↗ searrow ↘ rightleftharpoons ⇌
""")
LARGE = _pairs("sum ∑ prod ∏ coprod ∐ bigcup ⋃ bigcap ⋂ bigoplus ⨁ bigotimes ⨂ bigwedge ⋀ bigvee ⋁")
INTEGRAL = _pairs("int ∫ iint ∬ iiint ∭ oint ∮")
FUNCTIONS = set("log ln lg exp sin cos tan sinh cosh tanh arcsin arccos arctan sec csc cot deg dim ker hom arg".split())
LIMITS = {name: name for name in "max min sup inf lim det gcd Pr".split()}
LIMITS |= {"limsup": "lim sup", "liminf": "lim inf", "argmax": "arg max", "argmin": "arg min"}
FENCES = {char: char for char in "()[]|/"} | {"{": "{", "}": "}", ".": ""}
FENCES |= _pairs("""
    lbrace { rbrace } lbrack [ rbrack ] langle ⟨ rangle ⟩ lfloor ⌊ rfloor ⌋ lceil ⌈ rceil ⌉ lvert | rvert | vert |
    lVert ‖ rVert ‖ Vert ‖ uparrow ↑ downarrow ↓
""")
OPENING, CLOSING = set("([{⟨⌊⌈"), set(")]}⟩⌋⌉")
SPACES = {  # 1/18 em
    ",": 3,
    "thinspace": 3,
    ":": 4,
    ">": 4,
    " ": 4,
    ";": 5,
    "!": -3,
    "enspace": 9,
    "quad": 18,
    "qquad": 36,
}
ACCENTS = _pairs("""
    hat ˆ widehat ˆ tilde ˜ widetilde ˜ bar ¯ overline ¯ vec → overrightarrow → dot ˙ ddot ¨ check ˇ breve ˘
""")
WIDE = {"widehat", "widetilde", "overline", "overrightarrow"}
SIZES = {"big": 1.2, "Big": 1.8, "bigg": 2.4, "Bigg": 3.0}  # em
BRACKETS = {"pmatrix": "()", "bmatrix": "[]", "Bmatrix": "{}", "vmatrix": "||", "Vmatrix": "‖‖"}
BRACKETS |= {"matrix": ("", ""), "smallmatrix": ("", "")}

# Letters of another alphabet: where its A, a and 0 stand in Unicode, and the letters that stand elsewhere.
ALPHABETS = {
    "mathbb": (0x1D538, 0x1D552, 0x1D7D8, dict(zip("CHNPQRZ", "ℂℍℕℙℚℝℤ"))),
    "mathcal": (0x1D49C, 0x1D4B6, None, dict(zip("BEFHILMRego", "ℬℰℱℋℐℒℳℛℯℊℴ"))),
    "mathbf": (0x1D400, 0x1D41A, 0x1D7CE, {}),
    "boldsymbol": (0x1D468, 0x1D482, 0x1D7CE, {}),
    "mathfrak": (0x1D504, 0x1D51E, None, dict(zip("CHIRZ", "ℭℌℑℜℨ"))),
    "mathsf": (0x1D5A0, 0x1D5BA, 0x1D7E2, {}),
    "mathtt": (0x1D670, 0x1D68A, 0x1D7F6, {}),
}
ALPHABETS |= {"mathscr": ALPHABETS["mathcal"], "bm": ALPHABETS["boldsymbol"], "mathbbm": ALPHABETS["mathbb"]}
BOLD_GREEK = {"mathbf": (0x1D6A8, 0x1D6C2), "boldsymbol": (0x1D71C, 0x1D736), "bm": (0x1D71C, 0x1D736)}
AFTER_OMEGA = "∂ϵϑϰϕϱϖ"


def letter(char: str, alphabet: str) -> str:
    """A letter or digit in another alphabet; whatever that alphabet lacks stays.

    >>> [letter(*pair) for pair in [("N", "mathcal"), ("R", "mathbb"), ("μ", "boldsymbol"), ("+", "mathbf")]]
    ['𝒩', 'ℝ', '𝝁', '+']
    """
    upper, lower, zero, elsewhere = ALPHABETS[alphabet]
    capital, small = BOLD_GREEK.get(alphabet, (None, None))
    if char in elsewhere:
        return elsewhere[char]
    for first, last, there in (
        ("A", "Z", upper),
        ("a", "z", lower),
        ("0", "9", zero),
        ("Α", "Ω", capital),
        ("α", "ω", small),
    ):
        if first <= char <= last and there is not None:
            return chr(there + ord(char) - ord(first))
    if small and char in AFTER_OMEGA:
        return chr(small + 25 + AFTER_OMEGA.index(char))
    return chr(capital + 25) if capital and char == "∇" else char
