"""Sentences on which an int8 graph is compared with float32: written for this, of several lengths and languages."""

SAMPLES: tuple[str, ...] = (
    "Termination",
    "How long may customer records be kept?",
    "The notice period is thirty days.",
    "The insurer shall pay within fourteen days of receiving all documents needed to establish the claim.",
    "Personal data shall be erased without undue delay where they are no longer necessary for the purposes for which "
    "they were collected, unless a statutory retention period still runs.",
    "Neither party shall disclose confidential information to a third party except to advisers who are bound by "
    "professional secrecy, to affiliates that need to know it for the purpose of this agreement, or where a court or "
    "an authority orders disclosure; in the last case the other party is to be told beforehand where the law allows.",
    "A firm must keep orderly records of its business, including all services and transactions undertaken by it, "
    "sufficient to enable the supervisor to monitor compliance. Records are kept for at least six years, in a form "
    "that cannot be altered without trace, and are produced on request within three working days.",
    "Take one tablet twice a day with water. Do not exceed four tablets in twenty-four hours, and see a doctor if the "
    "symptoms last for more than a week.",
    "Table 4: premiums per class, 2021 to 2025 (in thousand euros) 1,204 1,377 1,412 1,598 1,603",
    "Wie lange ist die Kündigungsfrist?",
    "Der Verantwortliche meldet die Verletzung unverzüglich und möglichst binnen 72 Stunden der Aufsichtsbehörde.",
    "Die Versicherungsnehmerin hat jede Gefahrerhöhung, die ihr bekannt wird, ohne Verzug anzuzeigen. Unterbleibt die "
    "Anzeige, so kann der Versicherer den Vertrag mit einer Frist von einem Monat kündigen.",
    "Quelle est la durée de conservation des données ?",
    "La personne concernée a le droit d'obtenir l'effacement de données la concernant dans les meilleurs délais.",
    "Le responsable du traitement tient un registre des activités effectuées sous sa responsabilité, et le met à la "
    "disposition de l'autorité de contrôle lorsqu'elle en fait la demande.",
    "El asegurado comunicará el siniestro dentro del plazo máximo de siete días de haberlo conocido.",
)
