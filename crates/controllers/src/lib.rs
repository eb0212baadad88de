//! The hands: observe, plan, apply; one file per controller.
