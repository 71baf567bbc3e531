output "namespace" {
  description = "Where it was put."
  value       = var.namespace
}

output "image" {
  description = "What runs there."
  value       = "${var.image.name}:${var.image.tag}"

  precondition {
    condition = anytrue([
      for manifest in values(data.kustomization_overlay.colloquy.manifests) :
      strcontains(manifest, "\"${var.image.name}:${var.image.tag}\"")
    ])
    error_message = "No container of the overlay has this image: its own must be called images.example.com/colloquy."
  }
}

output "resources" {
  description = "Everything that was applied, as group/kind/namespace/name."
  value       = sort(tolist(data.kustomization_overlay.colloquy.ids))
}
